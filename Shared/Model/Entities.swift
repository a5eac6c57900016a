// What ids identify. The values themselves travel as snapshots; these names keep the ids apart.

public enum Report { public typealias ID = Identifier<Report> }
public enum Case { public typealias ID = Identifier<Case> }
public enum WorkOrder { public typealias ID = Identifier<WorkOrder> }
public enum Crew { public typealias ID = Identifier<Crew> }
public enum Shift { public typealias ID = Identifier<Shift> }
public enum District { public typealias ID = Identifier<District> }
public enum Street { public typealias ID = Identifier<Street> }
public enum Grid { public typealias ID = Identifier<Grid> }
public enum Community { public typealias ID = Identifier<Community> }
public enum Facility { public typealias ID = Identifier<Facility> }
public enum Notice { public typealias ID = Identifier<Notice> }
public enum Office { public typealias ID = Identifier<Office> }
public enum Recipient { public typealias ID = Identifier<Recipient> }
public enum Account { public typealias ID = Identifier<Account> }
public enum Session { public typealias ID = Identifier<Session> }
/// Also the id of the `history` row that records it.
public enum EventRecord { public typealias ID = Identifier<EventRecord> }

extension District {
    /// The fixed id that rows for the whole city carry.
    public static let city = ID("00000000-0000-7000-8000-000000000000").unsafelyUnwrappedKnown
    /// Where the canary's rounds happen; no place of the city, and in nobody's scope.
    public static let canary = ID("00000000-0000-7000-8000-0000000000ca").unsafelyUnwrappedKnown
}

extension Crew {
    /// The crew that the canary's cases are given to.
    public static let canary = ID("00000000-0000-7000-8000-0000000000cb").unsafelyUnwrappedKnown
}

extension Optional {
    /// For literals in this file only: a wrong one would fail the first test that touches it.
    fileprivate var unsafelyUnwrappedKnown: Wrapped {
        guard let self else { preconditionFailure("a literal id in Entities.swift is malformed") }
        return self
    }
}
