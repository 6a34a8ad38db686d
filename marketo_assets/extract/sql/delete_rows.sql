delete from ACTIVITIES
using ${staged} s
where ACTIVITIES.marketo_guid = s.marketo_guid
    and ACTIVITIES.activity_date between %(first)s::timestamp_ntz and %(last)s::timestamp_ntz
