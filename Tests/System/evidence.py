"""The evidence ledger, held against what the other services' histories say."""


def compare(stack):
    """What `sluicectl evidence compare` finds: (its JSON, what differs). Its exit status says the same."""
    code, found = stack.sluicectl("evidence", "compare", codes=(0, 3))
    different = {(line["what"], line["where_found"], line["id"].lower()) for line in found["differences"]}
    assert code == (3 if different else 0), (code, found)
    return found, different
