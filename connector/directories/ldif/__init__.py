"""An LDIF file (RFC 2849) as a directory."""
