/// The words of the field (domain page §6). Raw values are what the database, the events and the API say.

/// Which of the two ways through the system something takes.
public enum Lane: String, Codable, Sendable, CaseIterable {
    case emergency = "e"
    case routine = "r"
}

public enum ServiceName: String, Codable, Sendable, CaseIterable {
    case intake
    case dispatch
    case gisSync = "gis-sync"
    case scoring
    case notification

    /// The PostgreSQL schema that the service owns.
    public var schema: String { self == .gisSync ? "gis" : rawValue }
}

/// What one person or sensor said: 隐患, 投诉, 诉求, 巡查发现, 监测, 预警.
public enum ReportKind: String, Codable, Sendable, CaseIterable {
    case hazard, complaint, request, finding, reading, alert

    /// Whether such a report asks for a case. Readings and alerts are facts; what follows from them is decided elsewhere.
    public var asksForCase: Bool {
        switch self {
        case .hazard, .complaint, .request, .finding: true
        case .reading, .alert: false
        }
    }
}

public enum ReportChannel: String, Codable, Sendable, CaseIterable {
    case web, phone, crew, office, sensor, system, drill
}

/// The six types of community (paper §3.1).
public enum CommunityType: String, Codable, Sendable, CaseIterable {
    case residential, industrial, commercial, mixed
    case publicInstitution = "public_institution"
    case urbanVillage = "urban_village"
}

public enum PlaceLevel: String, Codable, Sendable, CaseIterable {
    case district, street, grid, community, special
}

public enum FacilityKind: String, Codable, Sendable, CaseIterable {
    case pipe, manhole, gully, outfall, tank, pump
}

public enum PipeSystem: String, Codable, Sendable, CaseIterable {
    case storm, sewage, combined
}

public enum Role: String, Codable, Sendable, CaseIterable {
    case resident, crew, dispatcher, office, manager, admin, system
}

/// 1 is the least severe, 5 means that people are in danger now.
public struct Severity: RawRepresentable, Hashable, Comparable, Sendable, Codable {
    public let rawValue: Int

    public init?(rawValue: Int) {
        guard (1...5).contains(rawValue) else { return nil }
        self.rawValue = rawValue
    }

    private init(known value: Int) { self.rawValue = value }

    public static let lowest = Severity(known: 1)
    public static let normal = Severity(known: 2)
    public static let raised = Severity(known: 3)
    public static let high = Severity(known: 4)
    public static let lifeAtRisk = Severity(known: 5)

    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
}

/// The case's place in the city-management flow (GB/T 30428 family): 受理 received → 立案 filed → 派遣 dispatched →
/// 处置 handling → 核查 verification → 结案 closed; also reopened, merged, rejected, suspended.
public enum CaseState: String, Codable, Sendable, CaseIterable {
    case received, filed, dispatched, handling, verification, closed, reopened, merged, rejected, suspended

    /// Nothing more is expected to happen by itself.
    public var isTerminal: Bool {
        switch self {
        case .closed, .merged, .rejected: true
        default: false
        }
    }
}

public enum OrderState: String, Codable, Sendable, CaseIterable {
    case planned, assigned, accepted
    case enRoute = "en_route"
    case onSite = "on_site"
    case done, declined, withdrawn, silent

    /// The crew is no longer bound by the order.
    public var isReleased: Bool {
        switch self {
        case .done, .declined, .withdrawn, .silent: true
        default: false
        }
    }

    /// A started job is never taken away from its crew.
    public var isStarted: Bool { self == .enRoute || self == .onSite }
}

public enum NoticePurpose: String, Codable, Sendable, CaseIterable {
    case emergency, escalation, routine
    case stoodDown = "stood_down"
}

public enum NoticeState: String, Codable, Sendable, CaseIterable {
    case pending, attempted, delivered, acknowledged, escalated, failed, withdrawn
}

public enum StormLevel: String, Codable, Sendable, CaseIterable, Comparable {
    case none, blue, yellow, orange, red

    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rank < rhs.rank }

    private var rank: Int {
        switch self {
        case .none: 0
        case .blue: 1
        case .yellow: 2
        case .orange: 3
        case .red: 4
        }
    }
}

/// How a report ended up (one row a report in `dispatch.report_state`).
public enum ReportOutcome: String, Codable, Sendable, CaseIterable {
    case `case`, rejected, dead
}
