select
    count(*) as contacts,
    count_if(coalesce(${key_text}, '') = '') as blank_keys,
    count(distinct nullif(${key_text}, '')) as keys,
    max(${updated_at}) as last_changed
from ${table}
