"""What the adapters of directories share: schemas, filters, scope, text of servers."""
