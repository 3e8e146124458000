"""The words of this program as values: every one frozen, none that knows a file, a clock or a network."""

from connector.model.change import (
    EXAMPLES as EXAMPLES,
    LISTED as LISTED,
    AgentRef as AgentRef,
    AttributeChange as AttributeChange,
    Change as Change,
    ChangeKind as ChangeKind,
    Fingerprint as Fingerprint,
    Look as Look,
    WritePart as WritePart,
)
from connector.model.directory import (
    ID as ID,
    NAME as NAME,
    OBJECT_CLASS as OBJECT_CLASS,
    UNIDENTIFIED as UNIDENTIFIED,
    AttributeDefinition as AttributeDefinition,
    AttributeInfo as AttributeInfo,
    ClassInfo as ClassInfo,
    ContentRule as ContentRule,
    Description as Description,
    DirectorySchema as DirectorySchema,
    Equality as Equality,
    Holds as Holds,
    Key as Key,
    Objection as Objection,
    Question as Question,
    ReadRules as ReadRules,
    Scope as Scope,
    Syntax as Syntax,
    Unit as Unit,
    User as User,
    UserNaming as UserNaming,
    UserRef as UserRef,
    ValueBounds as ValueBounds,
    View as View,
    WriteRules as WriteRules,
)
from connector.model.ending import (
    AGAIN as AGAIN,
    NOT_SENT as NOT_SENT,
    RunEnding as RunEnding,
)
from connector.model.form import Form as Form
from connector.model.memory import (
    Cleared as Cleared,
    JobIdentity as JobIdentity,
    LastGood as LastGood,
    Memory as Memory,
    Others as Others,
    Owned as Owned,
    Past as Past,
    Refused as Refused,
    Unsettled as Unsettled,
)
from connector.model.outcome import (
    Outcome as Outcome,
    Result as Result,
    StoredValues as StoredValues,
)
from connector.model.plan import (
    ANOTHER_KEY as ANOTHER_KEY,
    APPROVAL_NAMESPACE as APPROVAL_NAMESPACE,
    APPROVED as APPROVED,
    KEPT_CREDENTIALS as KEPT_CREDENTIALS,
    NEW_STATE as NEW_STATE,
    NOBODY as NOBODY,
    NOTICED as NOTICED,
    ON_HOLD as ON_HOLD,
    Approval as Approval,
    EarlierPlan as EarlierPlan,
    NearMiss as NearMiss,
    Plan as Plan,
    PlanNews as PlanNews,
    PlanNotes as PlanNotes,
    Problem as Problem,
    Refusal as Refusal,
    Summary as Summary,
)
from connector.model.secret import (
    UNKNOWN_SECRET as UNKNOWN_SECRET,
    Held as Held,
    Secret as Secret,
    Value as Value,
    hide_value as hide_value,
    text_of as text_of,
)
from connector.model.source import (
    Account as Account,
    AccountList as AccountList,
    Agent as Agent,
    InvalidRecord as InvalidRecord,
    Tenant as Tenant,
)
