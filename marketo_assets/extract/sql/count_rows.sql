select
    to_date(s.activity_date) as day,
    sum(s.rows_read) as rows_read,
    count(*) as guids,
    sum(coalesce(a.rows_there, 0)) as rows_there,
    count_if(a.is_of_this_run) as known
from (
    select marketo_guid, max(activity_date) as activity_date, count(*) as rows_read from ${staged} group by 1
) s
left join (
    select marketo_guid, count(*) as rows_there, boolor_agg(run_id = %(run)s) as is_of_this_run from ACTIVITIES
    where activity_date between %(first)s::timestamp_ntz and %(last)s::timestamp_ntz group by 1
) a on a.marketo_guid = s.marketo_guid
group by 1
order by 1
