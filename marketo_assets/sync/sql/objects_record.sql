-- A record that waits keeps the time since when, and is tried again after as long as it has waited.
update SYNC_OBJECTS o
set
    state = r.state,
    marketo_id = coalesce(r.marketo_id, o.marketo_id),
    fingerprint = iff(r.state = 'acknowledged', o.tried_fingerprint, o.fingerprint),
    acknowledged_at = iff(r.state = 'acknowledged', %(now)s::timestamp_ntz, o.acknowledged_at),
    code = r.code,
    reason = r.reason,
    waiting_since = iff(r.waits, coalesce(o.waiting_since, %(now)s::timestamp_ntz), null),
    try_after = iff(
        r.waits,
        dateadd(
            second,
            least(coalesce(datediff(second, o.waiting_since, %(now)s::timestamp_ntz), 0), %(longest)s),
            %(now)s::timestamp_ntz
        ),
        null
    ),
    run_id = %(run)s
from (
    select s.key, staged.*, staged.state in ('waiting', 'unsent', 'undeleted') as waits
    from ${results} staged
    join ${snapshot} s on s.what = %(what)s and s.row_number = staged.row_number
) r
where o.object_name = %(object)s and o.key = r.key
