/// Bodies of events: snapshots sufficient to act on. They carry ids and facts, never contact data, residents' free
/// text, photos or tracking codes.

public struct ReportSnapshot: Codable, Sendable, Hashable {
    public var reportID: Report.ID
    public var districtID: District.ID
    public var streetID: Street.ID?
    public var gridID: Grid.ID?
    public var communityID: Community.ID?
    public var facilityID: Facility.ID?
    public var kind: ReportKind
    /// Code of a category (`dispatch.api_category`).
    public var category: String
    public var channel: ReportChannel
    public var emergency: Bool
    public var severity: Severity
    public var personAtRisk: Bool
    /// False for an anonymous sender over its budget: it opens a case, but the automatic claim waits.
    public var verified: Bool
    /// Groups reports of one device without naming it; nil for signed-in senders.
    public var deviceHash: String?
    public var place: Coordinate
    public var receivedAt: Timestamp
    public var observedAt: Timestamp
    /// Which rule decided `emergency`, and why, in words for the case page.
    public var ruleVersion: Int
    public var ruleReason: String

    public init(
        reportID: Report.ID, districtID: District.ID, streetID: Street.ID? = nil, gridID: Grid.ID? = nil,
        communityID: Community.ID? = nil, facilityID: Facility.ID? = nil, kind: ReportKind, category: String,
        channel: ReportChannel, emergency: Bool, severity: Severity, personAtRisk: Bool = false,
        verified: Bool = true, deviceHash: String? = nil, place: Coordinate, receivedAt: Timestamp,
        observedAt: Timestamp, ruleVersion: Int, ruleReason: String
    ) {
        self.reportID = reportID
        self.districtID = districtID
        self.streetID = streetID
        self.gridID = gridID
        self.communityID = communityID
        self.facilityID = facilityID
        self.kind = kind
        self.category = category
        self.channel = channel
        self.emergency = emergency
        self.severity = severity
        self.personAtRisk = personAtRisk
        self.verified = verified
        self.deviceHash = deviceHash
        self.place = place
        self.receivedAt = receivedAt
        self.observedAt = observedAt
        self.ruleVersion = ruleVersion
        self.ruleReason = ruleReason
    }
}

public struct CaseSnapshot: Codable, Sendable, Hashable {
    public var caseID: Case.ID
    public var version: Int
    public var districtID: District.ID
    public var responsibleDistrictID: District.ID
    public var streetID: Street.ID?
    public var gridID: Grid.ID?
    public var communityID: Community.ID?
    public var kind: ReportKind
    public var category: String
    public var emergency: Bool
    public var verified: Bool
    public var severity: Severity
    public var state: CaseState
    public var place: Coordinate
    /// The first report's reception: where the clocks start.
    public var openedAt: Timestamp
    public var respondDue: Timestamp?
    public var arriveDue: Timestamp?
    public var resolveDue: Timestamp?
    public var respondedAt: Timestamp?
    public var arrivedAt: Timestamp?
    public var resolvedAt: Timestamp?
    public var closedAt: Timestamp?
    /// Since when its clocks stand still.
    public var suspendedAt: Timestamp?
    public var mergedInto: Case.ID?
    public var crewID: Crew.ID?
    public var orderID: WorkOrder.ID?
    public var reportCount: Int
    /// Why the last change was made, in words for the case page.
    public var reason: String?

    public init(
        caseID: Case.ID, version: Int, districtID: District.ID, responsibleDistrictID: District.ID,
        streetID: Street.ID? = nil, gridID: Grid.ID? = nil, communityID: Community.ID? = nil, kind: ReportKind,
        category: String, emergency: Bool, verified: Bool, severity: Severity, state: CaseState, place: Coordinate,
        openedAt: Timestamp, respondDue: Timestamp? = nil, arriveDue: Timestamp? = nil, resolveDue: Timestamp? = nil,
        respondedAt: Timestamp? = nil, arrivedAt: Timestamp? = nil, resolvedAt: Timestamp? = nil,
        closedAt: Timestamp? = nil, suspendedAt: Timestamp? = nil, mergedInto: Case.ID? = nil, crewID: Crew.ID? = nil,
        orderID: WorkOrder.ID? = nil, reportCount: Int = 1, reason: String? = nil
    ) {
        self.caseID = caseID
        self.version = version
        self.districtID = districtID
        self.responsibleDistrictID = responsibleDistrictID
        self.streetID = streetID
        self.gridID = gridID
        self.communityID = communityID
        self.kind = kind
        self.category = category
        self.emergency = emergency
        self.verified = verified
        self.severity = severity
        self.state = state
        self.place = place
        self.openedAt = openedAt
        self.respondDue = respondDue
        self.arriveDue = arriveDue
        self.resolveDue = resolveDue
        self.respondedAt = respondedAt
        self.arrivedAt = arrivedAt
        self.resolvedAt = resolvedAt
        self.closedAt = closedAt
        self.suspendedAt = suspendedAt
        self.mergedInto = mergedInto
        self.crewID = crewID
        self.orderID = orderID
        self.reportCount = reportCount
        self.reason = reason
    }
}

public struct OrderSnapshot: Codable, Sendable, Hashable {
    public var orderID: WorkOrder.ID
    public var version: Int
    public var caseID: Case.ID
    public var districtID: District.ID
    public var streetID: Street.ID?
    public var crewID: Crew.ID
    public var emergency: Bool
    public var state: OrderState
    public var assignedAt: Timestamp
    public var acceptedAt: Timestamp?
    public var enRouteAt: Timestamp?
    public var onSiteAt: Timestamp?
    public var doneAt: Timestamp?
    public var reason: String?

    public init(
        orderID: WorkOrder.ID, version: Int, caseID: Case.ID, districtID: District.ID, streetID: Street.ID? = nil,
        crewID: Crew.ID, emergency: Bool, state: OrderState, assignedAt: Timestamp, acceptedAt: Timestamp? = nil,
        enRouteAt: Timestamp? = nil, onSiteAt: Timestamp? = nil, doneAt: Timestamp? = nil, reason: String? = nil
    ) {
        self.orderID = orderID
        self.version = version
        self.caseID = caseID
        self.districtID = districtID
        self.streetID = streetID
        self.crewID = crewID
        self.emergency = emergency
        self.state = state
        self.assignedAt = assignedAt
        self.acceptedAt = acceptedAt
        self.enRouteAt = enRouteAt
        self.onSiteAt = onSiteAt
        self.doneAt = doneAt
        self.reason = reason
    }
}

public struct NoticeSnapshot: Codable, Sendable, Hashable {
    public var noticeID: Notice.ID
    public var version: Int
    public var caseID: Case.ID
    public var districtID: District.ID
    public var streetID: Street.ID?
    public var officeID: Office.ID?
    public var emergency: Bool
    public var purpose: NoticePurpose
    /// 1 for the first level, 2 once nobody acknowledged in time.
    public var round: Int
    public var state: NoticeState
    public var createdAt: Timestamp
    public var firstAttemptAt: Timestamp?
    public var acknowledgedAt: Timestamp?
    /// An account or recipient id, never a name.
    public var acknowledgedBy: String?

    public init(
        noticeID: Notice.ID, version: Int, caseID: Case.ID, districtID: District.ID, streetID: Street.ID? = nil,
        officeID: Office.ID? = nil, emergency: Bool, purpose: NoticePurpose, round: Int, state: NoticeState,
        createdAt: Timestamp, firstAttemptAt: Timestamp? = nil, acknowledgedAt: Timestamp? = nil,
        acknowledgedBy: String? = nil
    ) {
        self.noticeID = noticeID
        self.version = version
        self.caseID = caseID
        self.districtID = districtID
        self.streetID = streetID
        self.officeID = officeID
        self.emergency = emergency
        self.purpose = purpose
        self.round = round
        self.state = state
        self.createdAt = createdAt
        self.firstAttemptAt = firstAttemptAt
        self.acknowledgedAt = acknowledgedAt
        self.acknowledgedBy = acknowledgedBy
    }
}

public struct StormSnapshot: Codable, Sendable, Hashable {
    public var districtID: District.ID
    public var version: Int
    public var level: StormLevel
    public var since: Timestamp
    public var reason: String?

    public init(districtID: District.ID, version: Int, level: StormLevel, since: Timestamp, reason: String? = nil) {
        self.districtID = districtID
        self.version = version
        self.level = level
        self.since = since
        self.reason = reason
    }
}

/// Something on the map changed: an area (`level`) or a facility (`facilityKind`).
public struct PlaceSnapshot: Codable, Sendable, Hashable {
    public var placeID: Identifier<PlaceSnapshot>
    public var version: Int
    public var districtID: District.ID
    public var level: PlaceLevel?
    public var facilityKind: FacilityKind?
    public var code: String

    public init(
        placeID: Identifier<PlaceSnapshot>, version: Int, districtID: District.ID, level: PlaceLevel? = nil,
        facilityKind: FacilityKind? = nil, code: String
    ) {
        self.placeID = placeID
        self.version = version
        self.districtID = districtID
        self.level = level
        self.facilityKind = facilityKind
        self.code = code
    }
}
