"""django-scim2 with the columns that a site would add for the extension."""
