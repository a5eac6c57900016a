public import FoundationEssentials

/// Whose rows a transaction may see, as row-level security reads it from the setting `sluice.districts`.
public enum DistrictScope: Sendable, Hashable {
    /// Sets nothing: for roles whose policies let them see everything.
    case all
    /// Every district, for a role whose policies hold it to a scope: somebody of the whole city.
    case city
    case districts([UUID])
    case none

    /// What a query names besides row-level security, whose OR cannot use an index: nil is every district.
    public var districtIDs: [UUID]? {
        switch self {
        case .all, .city: nil
        case .districts(let ids): ids
        case .none: []
        }
    }

    /// Holds until the end of the transaction that it opens.
    var statement: SQL? {
        switch self {
        case .all: nil
        case .city: Self.statement("*")
        case .none: Self.statement("")
        case .districts(let ids): Self.statement(ids.map(\.uuidString).joined(separator: ","))
        }
    }

    private static func statement(_ value: String) -> SQL {
        "SELECT set_config('sluice.districts', \(value), true)"
    }
}
