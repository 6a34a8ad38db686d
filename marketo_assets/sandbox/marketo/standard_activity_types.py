"""Data: the standard activity types the emulator knows, with ids, names and attributes as real instances have them.

No behaviour belongs here (see activity_types.py), and no values of activities (see activity_deck.py).
One row: id, name, description, primary attribute or "", attributes. An attribute is its name, and `:type` unless it is
a string. New Lead and Delete Lead have no primary attribute.
"""

TypeRow = tuple[int, str, str, str, str]

_WEB = "Client IP Address, Query Parameters, Referrer URL, User Agent"
_STEP = "Campaign Run ID:integer, Choice Number:integer, Has Predictive:boolean, Step ID:integer, Test Variant:integer"
_READER = "Browser, Device, Is Mobile Device:boolean, Platform, User Agent"
_BOT = "Bot Activity Pattern, Is Bot Activity:boolean"
_BOUNCE = f"{_STEP}, Category, Details, Email, Subcategory"
_CALL = "API Method Name, Modifying User, Request Id"
_CHANGE = f"New Value, Old Value, Reason, Source, {_CALL}"
_SCORE = "New Value:integer, Old Value:integer, Priority:integer, Reason, Relative Score:integer, Urgency:float"
_MEMBER = "Acquired By:boolean, Program Member ID:integer, Reached Success Date:datetime, Reason, Success:boolean"
_SALES = "Artifact ID:integer, Sent by, Source"
_STATUS = "New Status, New Status ID:integer, Old Status, Old Status ID:integer"

STANDARD_TYPES: tuple[TypeRow, ...] = (
    (
        1,
        "Visit Webpage",
        "User visits a web page",
        "Webpage ID:integer",
        f"{_WEB}, Search Engine, Search Query, Webpage URL",
    ),
    (
        2,
        "Fill Out Form",
        "User fills out a form on a web page",
        "Webform ID:integer",
        f"{_WEB}, Form Fields:text, Webpage ID:integer",
    ),
    (3, "Click Link", "User clicks a link on a web page", "Link ID:integer", f"{_WEB}, Webpage ID:integer"),
    (6, "Send Email", "Send Marketo Email to a person", "Mailing ID:integer", _STEP),
    (7, "Email Delivered", "Marketo Email is delivered to a lead", "Mailing ID:integer", _STEP),
    (8, "Email Bounced", "Marketo Email is bounced for a lead", "Mailing ID:integer", _BOUNCE),
    (
        9,
        "Unsubscribe Email",
        "Person unsubscribes from Marketo Emails",
        "Mailing ID:integer",
        f"{_WEB}, Campaign Run ID:integer, Form Fields:text, Webform ID:integer, Webpage ID:integer",
    ),
    (10, "Open Email", "User opens Marketo Email", "Mailing ID:integer", f"{_STEP}, {_READER}, {_BOT}"),
    (
        11,
        "Click Email",
        "User clicks on a link in a Marketo Email",
        "Mailing ID:integer",
        f"{_STEP}, {_READER}, {_BOT}, Is Predictive:boolean, Link, Link ID",
    ),
    (
        12,
        "New Lead",
        "New person/record is added to the lead database",
        "",
        f"Created Date:date, Form Name, Lead Source, List Name, SFDC Type, Source Type, {_CALL}",
    ),
    (13, "Change Data Value", "Changed attribute value for a person/record", "Attribute Name", _CHANGE),
    (19, "Sync Lead to SFDC", "Person/record is synced to SFDC", "SFDC Type", "Source"),
    (
        21,
        "Convert Lead",
        "Lead is converted to contact",
        "Contact ID",
        "Assigned To Owner ID:integer, Converted to Account, Converted to Opportunity",
    ),
    (
        22,
        "Change Score",
        "Modify the score of a person/record",
        "Score Name",
        f"Change Value, {_SCORE}, Relative Urgency:integer",
    ),
    (23, "Change Owner", "Changed owner for a lead", "Owner ID:integer", "New Owner, Old Owner, Source"),
    (24, "Add to List", "Add a person/record to a list", "List ID:integer", "Source"),
    (25, "Remove from List", "Remove this lead from a list", "List ID:integer", "Source"),
    (
        26,
        "SFDC Activity",
        "Activity is logged in SFDC",
        "Activity ID",
        "Activity Owner, Description:text, Due Date:date, Is Task:boolean, Priority, Status, Subject",
    ),
    (27, "Email Bounced Soft", "Campaign Email is bounced soft for a lead", "Mailing ID:integer", _BOUNCE),
    (29, "Delete Lead from SFDC", "Lead is deleted from SFDC", "SFDC Lead ID", "Campaign, Delete from Marketo:boolean"),
    (31, "SFDC Merge Leads", "Leads are merged in SFDC", "SFDC Lead ID", "Merge IDs, Merge Source"),
    (
        32,
        "Merge Leads",
        "Merge two or more leads into a single record",
        "Lead ID:integer",
        "Master Updated:boolean, Merge IDs, Merge Source, Merged in Sales:boolean",
    ),
    (34, "Add to Opportunity", "Add a lead to an opportunity", "Opportunity ID:integer", "Is Primary:boolean, Role"),
    (
        35,
        "Remove from Opportunity",
        "Remove a lead from an opportunity",
        "Opportunity ID:integer",
        "Is Primary:boolean, Role",
    ),
    (
        36,
        "Update Opportunity",
        "Attribute of an opportunity is updated",
        "Opportunity ID:integer",
        "Attribute Name, New Value, Old Value, Opportunity Amount:float, Source",
    ),
    (37, "Delete Lead", "Person/record is deleted from the lead database", "", "Campaign, Remove From CRM:boolean"),
    (38, "Send Alert", "Alert is sent about a lead", "Mailing ID:integer", "Send to List:text, Send to Owner"),
    (39, "Send Sales Email", "Sales Email is sent to a lead", "Artifact ID:integer", f"{_SALES}, Template ID:integer"),
    (40, "Open Sales Email", "User opens a Sales Email", "Artifact ID:integer", f"{_SALES}, {_READER}"),
    (41, "Click Sales Email", "User clicks in a Sales Email", "Artifact ID:integer", f"{_SALES}, Link, {_READER}"),
    (42, "Add to SFDC Campaign", "Add a lead to an SFDC campaign", "SFDC Campaign ID:integer", "Status"),
    (43, "Remove from SFDC Campaign", "Remove a lead from an SFDC campaign", "SFDC Campaign ID:integer", "Status"),
    (
        44,
        "Change Status in SFDC Campaign",
        "Changed campaign membership status of a lead",
        "SFDC Campaign ID:integer",
        "New Status, Old Status",
    ),
    (45, "Receive Sales Email", "Sales Email is received from a lead", "Artifact ID:integer", "Received by, Source"),
    (46, "Interesting Moment", "Lead has an interesting moment", "Type", "Date:datetime, Description:text, Source"),
    (47, "Request Campaign", "Campaign is requested for a lead", "Campaign ID:integer", "Source"),
    (
        48,
        "Sales Email Bounced",
        "Sales Email is bounced for a lead",
        "Artifact ID:integer",
        "Category, Details, Email, Sent by, Subcategory",
    ),
    (
        100,
        "Change Lead Partition",
        "Lead partition of a lead is changed",
        "New Partition ID:integer",
        "Old Partition ID:integer, Reason",
    ),
    (
        101,
        "Change Revenue Stage",
        "Stage of a lead in a revenue cycle model is changed",
        "Model ID:integer",
        "New Stage, New Stage ID:integer, Old Stage, Old Stage ID:integer, Reason, SLA Expiration:datetime",
    ),
    (
        104,
        "Change Status in Progression",
        "Status of a lead in a program is changed",
        "Program ID:integer",
        f"{_MEMBER}, {_STATUS}, Status Reason",
    ),
    (
        108,
        "Change Segment",
        "Segment of a lead within a segmentation is changed",
        "Segmentation ID:integer",
        "New Segment ID:integer, Old Segment ID:integer",
    ),
    (
        110,
        "Call Webhook",
        "Webhook is called for a lead",
        "Webhook ID:integer",
        "Error Type:integer, Response:text, Step ID:integer",
    ),
    (
        111,
        "Sent Forward to Friend Email",
        "User forwards Marketo Email to a friend",
        "Mailing ID:integer",
        "Client IP Address, Lead ID:integer, User Agent",
    ),
    (
        112,
        "Received Forward to Friend Email",
        "Lead receives a forwarded Marketo Email",
        "Mailing ID:integer",
        "Client IP Address, Lead ID:integer, User Agent",
    ),
    (113, "Add to Nurture", "Add a lead to a nurture program", "Program ID:integer", "Track ID:integer, Track Name"),
    (
        114,
        "Change Nurture Track",
        "Nurture track of a lead is changed",
        "Program ID:integer",
        "New Track ID:integer, Previous Track ID:integer, Track Name",
    ),
    (
        115,
        "Change Nurture Cadence",
        "Nurture cadence of a lead is changed",
        "Program ID:integer",
        "New Nurture Cadence, Previous Nurture Cadence",
    ),
    (
        123,
        "Change Program Member Data",
        "Data of a program member is changed",
        "Program ID:integer",
        "Attribute Display Name, Attribute Name, New Value, Old Value, Program Member ID:integer, Reason, Source",
    ),
    (145, "Push Lead to Marketo", "Lead is pushed by an API call", "Program ID:integer", "Reason, Source"),
)
