public import FoundationEssentials
public import Model
public import Postgres

/// A transaction-level advisory lock. All of Sluice's share one space of 64-bit keys, whose first two bits say what is
/// locked, so that ascending order is the order everywhere: events, aggregates, then cells.
public struct AdvisoryLock: Hashable, Comparable, Sendable {
    public let key: Int64
    /// A routine batch does not wait for it: what it doesn't get it keeps for its next batch.
    public let isPatient: Bool

    private enum Space: UInt64 {
        case event = 0b10
        case aggregate = 0b11
        case cell = 0b00
        case name = 0b01
    }

    private init(_ space: Space, _ bits: UInt64, isPatient: Bool) {
        self.key = Int64(bitPattern: space.rawValue << 62 | bits >> 2)
        self.isPatient = isPatient
    }

    /// Two events under one key only wait for each other for nothing.
    static func event(_ id: UUID) -> AdvisoryLock {
        AdvisoryLock(.event, hash(id), isPatient: false)
    }

    /// One aggregate: whoever reads its snapshot in order to write the next holds this.
    public static func aggregate(_ id: UUID) -> AdvisoryLock {
        AdvisoryLock(.aggregate, hash(id), isPatient: false)
    }

    public static func aggregate<Owner>(_ id: Identifier<Owner>) -> AdvisoryLock {
        aggregate(id.rawValue)
    }

    /// One square of about 250 m, with the category group: triage, merge, unmerge, close and re-parenting hold those
    /// that the radius touches. It is only the lock, never the criterion.
    public static func cell(x: Int, y: Int, group: String) -> AdvisoryLock {
        var hash = FNV()
        hash.combine(UInt64(bitPattern: Int64(x)))
        hash.combine(UInt64(bitPattern: Int64(y)))
        hash.combine(group.utf8)
        return AdvisoryLock(.cell, hash.value, isPatient: true)
    }

    /// Anything else that has a name, always behind the others.
    public static func named(_ name: String) -> AdvisoryLock {
        var hash = FNV()
        hash.combine(name.utf8)
        return AdvisoryLock(.name, hash.value, isPatient: false)
    }

    private static func hash(_ id: UUID) -> UInt64 {
        var hash = FNV()
        withUnsafeBytes(of: id.uuid) { hash.combine($0) }
        return hash.value
    }

    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.key < rhs.key }
}

extension AdvisoryLock {
    /// One statement that takes all of them, sorted, each once. Answers (key, held) for each: `held` is false only for a
    /// patient lock that another holds, and only if `waits` is false.
    public static func statement(_ locks: [AdvisoryLock], waits: Bool) -> SQL {
        let sorted = Set(locks).sorted()
        // unnest answers in the arrays' order, and nothing sorts behind it: the locks are taken in that order.
        return """
            SELECT l.key, CASE
                WHEN l.waits THEN pg_advisory_xact_lock(l.key) IS NOT NULL
                ELSE pg_try_advisory_xact_lock(l.key)
            END AS held
            FROM unnest(\(sorted.map(\.key)), \(sorted.map { waits || !$0.isPatient })) AS l (key, waits)
            """
    }

    /// The keys of those that were not got, from the answer to ``statement(_:waits:)``.
    static func missing(_ rows: Rows) throws -> Set<Int64> {
        Set(try rows.decode((Int64, Bool).self).filter { !$0.1 }.map(\.0))
    }
}

/// 64-bit FNV-1a with a final mix: the same in every process and release, unlike `Hasher`.
private struct FNV {
    private var state: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func combine(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }

    mutating func combine(_ number: UInt64) {
        withUnsafeBytes(of: number.littleEndian) { combine($0) }
    }

    var value: UInt64 {
        var mixed = state
        mixed = (mixed ^ (mixed >> 32)) &* 0x9E37_79B9_7F4A_7C15
        return mixed ^ (mixed >> 29)
    }
}
