select
    count(*) as contacts,
    coalesce(count_if(coalesce(${key_text}, '') = ''), 0) as blank_keys,
    count(distinct nullif(${key_text}, '')) as keys,
    max(${updated_at}) as last_changed
from ${table}
