import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

/// A row of `dispatch.work_order`.
struct OrderRecord: Codable, Sendable, Hashable {
    var orderID: WorkOrder.ID
    var caseID: Case.ID
    var districtID: District.ID
    var streetID: Street.ID?
    var crewID: Crew.ID
    var crewName: String
    var emergency: Bool
    var severity: Severity
    var state: OrderState
    var assignedAt: Timestamp
    var acceptedAt: Timestamp?
    var enRouteAt: Timestamp?
    var onSiteAt: Timestamp?
    var doneAt: Timestamp?
    var releasedAt: Timestamp?
    var lastStepAt: Timestamp
    var assignedBy: String
    var reasonCode: String
    var reasonZH: String
    var reasonEN: String
    var notes: String?
    var canary: Bool
    var version: Int

    enum CodingKeys: String, CodingKey, CaseIterable {
        case orderID = "order_id"
        case caseID = "case_id"
        case districtID = "district_id"
        case streetID = "street_id"
        case crewID = "crew_id"
        case crewName = "crew_name"
        case emergency, severity, state
        case assignedAt = "assigned_at"
        case acceptedAt = "accepted_at"
        case enRouteAt = "en_route_at"
        case onSiteAt = "on_site_at"
        case doneAt = "done_at"
        case releasedAt = "released_at"
        case lastStepAt = "last_step_at"
        case assignedBy = "assigned_by"
        case reasonCode = "reason_code"
        case reasonZH = "reason_zh"
        case reasonEN = "reason_en"
        case notes, canary, version
    }
}

extension OrderRecord {
    init(_ row: Row) throws {
        func value<T: PostgresDecodable>(_ key: CodingKeys) throws -> T { try row.decode(key.rawValue) }
        self.init(
            orderID: try value(.orderID), caseID: try value(.caseID), districtID: try value(.districtID),
            streetID: try value(.streetID), crewID: try value(.crewID), crewName: try value(.crewName),
            emergency: try value(.emergency), severity: try value(.severity), state: try value(.state),
            assignedAt: try value(.assignedAt), acceptedAt: try value(.acceptedAt),
            enRouteAt: try value(.enRouteAt), onSiteAt: try value(.onSiteAt), doneAt: try value(.doneAt),
            releasedAt: try value(.releasedAt), lastStepAt: try value(.lastStepAt),
            assignedBy: try value(.assignedBy), reasonCode: try value(.reasonCode), reasonZH: try value(.reasonZH),
            reasonEN: try value(.reasonEN), notes: try value(.notes), canary: try value(.canary),
            version: try value(.version))
    }

    var reason: Reason {
        get { Reason(reasonCode, zh: reasonZH, en: reasonEN) }
        set { (reasonCode, reasonZH, reasonEN) = (newValue.code, newValue.zh, newValue.en) }
    }

    /// Binds its crew: an emergency from its claim on, anything else from its start.
    var isActive: Bool { !state.isReleased && (emergency || state.isStarted) }

    /// A place in the crew's list.
    var isListed: Bool { !state.isReleased && !isActive }

    var snapshot: OrderSnapshot {
        OrderSnapshot(
            orderID: orderID, version: version, caseID: caseID, districtID: districtID, streetID: streetID,
            crewID: crewID, emergency: emergency, state: state, assignedAt: assignedAt, acceptedAt: acceptedAt,
            enRouteAt: enRouteAt, onSiteAt: onSiteAt, doneAt: doneAt, reason: reasonEN)
    }
}
