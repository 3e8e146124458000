"""What has to change for one user: values, groups of attributes, unique values."""
