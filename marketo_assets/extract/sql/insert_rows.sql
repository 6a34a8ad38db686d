insert into ACTIVITIES (
    marketo_guid, lead_id, activity_date, activity_type_id, campaign_id, primary_attribute_value_id,
    primary_attribute_value, attributes, run_id, loaded_at
)
select
    marketo_guid, lead_id, activity_date, activity_type_id, campaign_id, primary_attribute_value_id,
    primary_attribute_value, parse_json(attributes), %(run)s, %(now)s::timestamp_ntz
from ${staged}
qualify row_number() over (partition by marketo_guid order by lead_id) = 1
