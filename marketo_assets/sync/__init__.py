"""Leads kept in step both ways, companies and custom objects in Marketo as in the warehouse. See docs/sync.md."""
