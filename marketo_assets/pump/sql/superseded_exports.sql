-- Rows of this file whose contact has been exported again since, into a file that was or will be sent.
select distinct e.row_number
from PUMP_EXPORTS e
join PUMP_EXPORTS newer on newer.pump = e.pump and newer.key = e.key and newer.exported_at > e.exported_at
join PUMP_FILES f on f.pump = newer.pump and f.file = newer.file and f.origin = 'drop'
where e.pump = %(pump)s and e.file = %(file)s and f.state in ('writing', 'open', 'done')
