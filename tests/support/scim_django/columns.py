"""Which column holds which attribute."""

from __future__ import annotations

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
EXTENSIONS = {
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "employee_number"},
    "urn:ietf:params:scim:schemas:extension:cec:2.0:User": {
        "accountCode": "account_code",
        "workNo": "work_no",
        "sipAccount": "sip_account",
        "sipPassword": "sip_password",
        "sipServiceIp": "sip_service_ip",
        "sipServicePort": "sip_service_port",
    },
}
