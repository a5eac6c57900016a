-- A case's row changes some five times in its life. Whether it is open is in the indexes by `closed_at`, which changes
-- once, and not by `state`: so a step writes the row alone (a HOT update), where it wrote six index entries before.
ALTER TABLE dispatch.case_file SET (fillfactor = 70);

-- What a report may belong to: by cell, and within it by place, so that a dense cell is not read whole.
DROP INDEX dispatch.case_file_neighbours;
CREATE INDEX case_file_neighbours ON dispatch.case_file (category_group, cell, lat, lon) WHERE closed_at IS NULL;
DROP INDEX dispatch.case_file_just_closed;
CREATE INDEX case_file_just_closed ON dispatch.case_file (category_group, cell, closed_at DESC)
    WHERE closed_at IS NOT NULL AND merged_into IS NULL;
