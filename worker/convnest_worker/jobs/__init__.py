"""Taking jobs and seeing them through: lease, slice process, wishes, commit."""
