create table if not exists ACTIVITIES (
    marketo_guid varchar not null,
    lead_id number(38, 0) not null,
    activity_date timestamp_ntz not null,
    activity_type_id number(38, 0) not null,
    campaign_id number(38, 0),
    primary_attribute_value_id number(38, 0),
    primary_attribute_value varchar,
    attributes variant,
    run_id varchar not null,
    loaded_at timestamp_ntz not null
) comment = 'One row per activity in Marketo; times in UTC, attributes an object by attribute name';
create table if not exists ACTIVITY_LOADS (
    day date not null,
    run_id varchar not null,
    route varchar not null,
    is_complete boolean not null,
    rows_read number(38, 0) not null,
    rows_new number(38, 0) not null,
    rows_late number(38, 0) not null,
    loaded_at timestamp_ntz not null
) comment = 'One row per day and run that read it; complete: the day was over and read from end to end';
create table if not exists EXPORT_JOBS (
    export_id varchar not null,
    first_day date not null,
    last_day date not null,
    type_ids varchar not null,
    state varchar not null,
    reason varchar,
    byte_count number(38, 0),
    row_count number(38, 0),
    run_id varchar not null,
    created_at timestamp_ntz not null,
    closed_at timestamp_ntz
) comment = 'One row per bulk extract job: open, loaded, compared (leads) or abandoned; type_ids: of activities, or leads/ and a hash of the fields';
create table if not exists SYNC_WATERMARKS (
    stream varchar not null,
    token varchar not null,
    read_until timestamp_ntz not null,
    run_id varchar not null,
    moved_at timestamp_ntz not null
) comment = 'One row per stream of Marketo: the paging token to go on from, and the time up to which it was read';
create table if not exists ACTIVITY_TYPES (
    type_id number(38, 0) not null,
    name varchar not null,
    definition varchar not null,
    is_present boolean not null,
    run_id varchar not null,
    seen_at timestamp_ntz not null
) comment = 'One row per change of an activity type: how Get Activity Types showed it from then on, or that it was gone';
create table if not exists LEAD_FIELDS (
    name varchar not null,
    display_name varchar not null,
    definition varchar not null,
    is_present boolean not null,
    run_id varchar not null,
    seen_at timestamp_ntz not null
) comment = 'One row per change of a lead field: how Describe Lead showed it from then on, or that it was gone';
create table if not exists ACTIVITY_LEADS (
    lead_id number(38, 0) not null,
    fields variant,
    field_names varchar not null,
    is_missing boolean not null,
    run_id varchar not null,
    read_at timestamp_ntz not null
) comment = 'One row per lead of an activity: the configured fields as Marketo had them at read_at; missing: no such lead';
create table if not exists DELETED_LEADS (
    lead_id number(38, 0) not null,
    marketo_guid varchar not null,
    deleted_at timestamp_ntz not null,
    run_id varchar not null,
    loaded_at timestamp_ntz not null
) comment = 'One row per lead that was deleted in Marketo'
