update PUMP_FINGERPRINTS f
set
    fingerprint = iff(s.status in ('created', 'updated'), s.fingerprint, f.fingerprint),
    acknowledged_at = iff(s.status in ('created', 'updated'), %(now)s, f.acknowledged_at),
    refused_fingerprint = iff(s.status in ('created', 'updated'), null, s.fingerprint),
    refused_mapping = iff(s.status in ('created', 'updated'), null, %(mapping_version)s),
    refused_code = iff(s.status in ('created', 'updated'), null, s.code),
    refused_at = iff(s.status in ('created', 'updated'), null, %(now)s)
from (
    select e.key, e.fingerprint, r.status, r.code
    from ${results} r
    join PUMP_EXPORTS e on e.pump = %(pump)s and e.file = %(file)s and e.row_number = r.row_number
    where r.status in ('created', 'updated', 'rejected', 'skipped')
) s
where f.pump = %(pump)s and f.key = s.key
