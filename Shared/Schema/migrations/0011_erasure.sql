-- Erasing a person is logged beside the looks at the contact: who, when, why.
ALTER TABLE intake.contact_look
    ADD COLUMN act text NOT NULL DEFAULT 'look' CHECK (act IN ('look', 'erase'));
COMMENT ON TABLE intake.contact_look IS 'Who looked at a sender''s contact, or erased it, when, and why';
