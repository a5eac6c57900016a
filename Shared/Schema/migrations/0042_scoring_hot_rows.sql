-- Room on the page for the versions of a case that follow its first one, so that they write no index entries.
ALTER TABLE scoring.case_fact SET (fillfactor = 70);
