import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

/// A row of `dispatch.case_file`.
struct CaseRecord: Codable, Sendable, Hashable {
    var caseID: Case.ID
    var districtID: District.ID
    var responsibleDistrictID: District.ID
    var streetID: Street.ID?
    var gridID: Grid.ID?
    var communityID: Community.ID?
    var facilityID: Facility.ID?
    var kind: ReportKind
    var category: String
    var categoryVersion: Int
    var categoryGroup: String
    var emergency: Bool
    var verified: Bool
    var personAtRisk: Bool
    var severity: Severity
    var state: CaseState
    var formerState: CaseState?
    var lon: Double
    var lat: Double
    var cell: Int64
    var openedAt: Timestamp
    var lastReportAt: Timestamp
    var respondDue: Timestamp?
    var arriveDue: Timestamp?
    var resolveDue: Timestamp?
    var clockLevel: StormLevel
    var respondedAt: Timestamp?
    var arrivedAt: Timestamp?
    var resolvedAt: Timestamp?
    var closedAt: Timestamp?
    var suspendedAt: Timestamp?
    var pausedSeconds: Int
    var mergedInto: Case.ID?
    var perhapsSame: Case.ID?
    var perhapsAgain: Case.ID?
    var crewID: Crew.ID?
    var orderID: WorkOrder.ID?
    var reportCount: Int
    var devices: [String]
    var reasonCode: String
    var reasonZH: String
    var reasonEN: String
    var canary: Bool
    var version: Int
    /// What people call it by; the database gives it, so a case that is about to be written has none.
    var number: Int64?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case caseID = "case_id"
        case districtID = "district_id"
        case responsibleDistrictID = "responsible_district_id"
        case streetID = "street_id"
        case gridID = "grid_id"
        case communityID = "community_id"
        case facilityID = "facility_id"
        case kind, category
        case categoryVersion = "category_version"
        case categoryGroup = "category_group"
        case emergency, verified
        case personAtRisk = "person_at_risk"
        case severity, state
        case formerState = "former_state"
        case lon, lat, cell
        case openedAt = "opened_at"
        case lastReportAt = "last_report_at"
        case respondDue = "respond_due"
        case arriveDue = "arrive_due"
        case resolveDue = "resolve_due"
        case clockLevel = "clock_level"
        case respondedAt = "responded_at"
        case arrivedAt = "arrived_at"
        case resolvedAt = "resolved_at"
        case closedAt = "closed_at"
        case suspendedAt = "suspended_at"
        case pausedSeconds = "paused_seconds"
        case mergedInto = "merged_into"
        case perhapsSame = "perhaps_same"
        case perhapsAgain = "perhaps_again"
        case crewID = "crew_id"
        case orderID = "order_id"
        case reportCount = "report_count"
        case devices
        case reasonCode = "reason_code"
        case reasonZH = "reason_zh"
        case reasonEN = "reason_en"
        case canary, version
    }
}

extension CaseRecord {
    init(_ row: Row) throws {
        func value<T: PostgresDecodable>(_ key: CodingKeys) throws -> T { try row.decode(key.rawValue) }
        self.init(
            caseID: try value(.caseID), districtID: try value(.districtID),
            responsibleDistrictID: try value(.responsibleDistrictID), streetID: try value(.streetID),
            gridID: try value(.gridID), communityID: try value(.communityID), facilityID: try value(.facilityID),
            kind: try value(.kind), category: try value(.category), categoryVersion: try value(.categoryVersion),
            categoryGroup: try value(.categoryGroup), emergency: try value(.emergency),
            verified: try value(.verified), personAtRisk: try value(.personAtRisk), severity: try value(.severity),
            state: try value(.state), formerState: try value(.formerState), lon: try value(.lon),
            lat: try value(.lat), cell: try value(.cell), openedAt: try value(.openedAt),
            lastReportAt: try value(.lastReportAt), respondDue: try value(.respondDue),
            arriveDue: try value(.arriveDue), resolveDue: try value(.resolveDue), clockLevel: try value(.clockLevel),
            respondedAt: try value(.respondedAt), arrivedAt: try value(.arrivedAt),
            resolvedAt: try value(.resolvedAt), closedAt: try value(.closedAt), suspendedAt: try value(.suspendedAt),
            pausedSeconds: try value(.pausedSeconds), mergedInto: try value(.mergedInto),
            perhapsSame: try value(.perhapsSame), perhapsAgain: try value(.perhapsAgain), crewID: try value(.crewID),
            orderID: try value(.orderID), reportCount: try value(.reportCount), devices: try value(.devices),
            reasonCode: try value(.reasonCode), reasonZH: try value(.reasonZH), reasonEN: try value(.reasonEN),
            canary: try value(.canary), version: try value(.version),
            number: try row.decode("number"))
    }

    var place: Coordinate { Coordinate(lon: lon, lat: lat) }

    var reason: Reason {
        get { Reason(reasonCode, zh: reasonZH, en: reasonEN) }
        set { (reasonCode, reasonZH, reasonEN) = (newValue.code, newValue.zh, newValue.en) }
    }

    var site: Triage.Site {
        Triage.Site(
            caseID: caseID, districtID: districtID, group: categoryGroup, place: place, state: state,
            emergency: emergency, severity: severity, verified: verified, lastReportAt: lastReportAt,
            resolvedAt: resolvedAt, closedAt: closedAt, devices: Set(devices))
    }

    var times: CaseClocks.Times {
        get {
            var times = CaseClocks.Times(openedAt: openedAt)
            times.due[.respond] = respondDue
            times.due[.arrive] = arriveDue
            times.due[.resolve] = resolveDue
            times.met[.respond] = respondedAt
            times.met[.arrive] = arrivedAt
            times.met[.resolve] = resolvedAt
            return times
        }
        set {
            respondDue = newValue.due[.respond]
            arriveDue = newValue.due[.arrive]
            resolveDue = newValue.due[.resolve]
        }
    }

    /// The clock that can run out next; none for a case that is over, suspended or said to be solved.
    var nextDue: (clock: CaseClocks.Clock, at: Timestamp)? {
        switch state {
        case .closed, .merged, .rejected, .suspended, .verification: nil
        default: CaseClocks.next(times)
        }
    }

    /// Waits for a crew, or would if it had none.
    var needsCrew: Bool { state == .filed || state == .reopened }

    var snapshot: CaseSnapshot {
        CaseSnapshot(
            caseID: caseID, version: version, districtID: districtID, responsibleDistrictID: responsibleDistrictID,
            streetID: streetID, gridID: gridID, communityID: communityID, kind: kind, category: category,
            emergency: emergency, verified: verified, severity: severity, state: state, place: place,
            openedAt: openedAt, respondDue: respondDue, arriveDue: arriveDue, resolveDue: resolveDue,
            respondedAt: respondedAt, arrivedAt: arrivedAt, resolvedAt: resolvedAt, closedAt: closedAt,
            suspendedAt: suspendedAt, mergedInto: mergedInto, crewID: crewID, orderID: orderID,
            reportCount: reportCount, reason: reasonEN)
    }
}
