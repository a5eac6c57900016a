import FoundationEssentials
import Logging
import Metrics
import Model
import Outbox
import Postgres
import Rules
import ServiceKit
import Synchronization

/// Takes a report in: check → decide → write and announce, one transaction. When it returns, the report is in.
struct ReceiveReport: Sendable {
    let cache: CityCache
    let budget: SenderBudget
    let limits: SenderLimits
    let admission: AdmissionGate
    let keyring: KeyringLoader
    let master: MasterKey
    let messaging: Messaging
    let sources: Sources
    let publicURL: String
    let logger: Logger
    /// For routine reports, and for emergencies.
    let database: PostgresClient
    let together: GroupCommit
    let lane: PostgresClient

    /// What is to be written, all of it known before anything is sent.
    struct Prepared: Sendable {
        var record: ReportRecord
        var receipt: ReportReceipt
        var statements: [SQL]
        var announcement: Announcement
        var spent: Spent?

        var isEmergency: Bool { record.decision.emergency }
    }

    /// The budgets that an anonymous emergency has been counted in.
    struct Spent: Sendable {
        var device: [UInt8]
        var prefix: [UInt8]?
    }

    /// Everything but the writing. Throws a `Problem` for what is wrong with the report, and for a routine one that must
    /// wait while the lane needs room.
    func prepare(_ input: ReportInput, from sender: Sender) async throws -> Prepared {
        guard let known = cache.city else { throw Problem.unavailable() }
        let now = sources.now()
        // A facility has to be asked for. What may be an emergency asks by the lane; what no place can make one has its
        // turn first, and then asks on the connections of routine reports.
        let asks = input.facilityCode != nil
        let asksByLane = asks && ReportCheck.mayBeEmergency(input, in: known)
        if asks, !asksByLane { try admit(sender, now: now) }
        let sound = try await ReportCheck(city: known, store: CityStore(database: asksByLane ? lane : database))
            .check(input, sender: sender, now: now)
        let decision = EmergencyRule.decide(
            category: sound.category.rule, text: sound.description, placeTags: sound.location.tags,
            placeVersion: sound.location.version, personAtRisk: sound.personAtRisk)
        if !decision.emergency, !asks || asksByLane { try admit(sender, now: now) }
        let keyring = try keyring.get()
        let deviceHash = sender.device.map { keyring.hash($0.value, for: .device) }
        let (verdict, spent) = try await judge(
            sender, deviceHash: deviceHash, emergency: decision.emergency, keyring: keyring)
        let record = ReportRecord(
            id: Report.ID(sources.randomUUID(now)), districtID: sound.location.district.districtID,
            streetID: sound.location.street.map { Street.ID($0.id) },
            gridID: sound.location.grid.map { Grid.ID($0.id) },
            communityID: sound.location.community.map { Community.ID($0.id) }, facilityID: sound.facilityID,
            kind: sound.category.stored.kind, category: sound.category.stored.code,
            categoryVersion: sound.category.stored.version, channel: sound.channel, personAtRisk: sound.personAtRisk,
            place: sound.place, address: sound.address, description: sound.description, language: sound.language,
            observedAt: sound.observedAt, receivedAt: now,
            deviceHash: sender.isSignedIn ? nil : deviceHash.map { Base64URL.encode($0.prefix(16)) },
            accountID: sender.claims?.sub, decision: decision, verdict: verdict)
        var prepared = try write(record, sound, sender: sender, keyring: keyring)
        prepared.spent = spent
        return prepared
    }

    /// The transaction: the key's claim, the report and its announcement. Routine reports that come together share a
    /// COMMIT; an emergency waits for nobody.
    func write(_ prepared: Prepared, after claim: SQL) async throws {
        let districts = [prepared.record.districtID.rawValue]
        let statements = [claim] + prepared.statements
        if prepared.isEmergency {
            try await lane.segment(statements, scope: .districts(districts))
        } else {
            _ = try await together.segment(statements, districts: districts)
        }
        committed(prepared)
    }

    /// Gives a sender back what an emergency was counted that has not been written: its request had been answered
    /// before, or it failed and will be sent again.
    func giveBack(_ prepared: Prepared) async {
        guard let spent = prepared.spent else { return }
        do {
            try await BudgetStore(database: lane).giveBack(device: spent.device, prefix: spent.prefix)
        } catch {
            logger.warning("a sender's budget could not be given back", metadata: ["error": "\(error)"])
        }
    }

    /// After the COMMIT: wakes the relay and counts.
    private func committed(_ prepared: Prepared) {
        messaging.committed([prepared.announcement.event.lane])
        Counter(
            label: "sluice_reports_received_total",
            dimensions: [("emergency", prepared.isEmergency ? "true" : "false")]
        ).increment()
    }

    /// Where this one is written: emergencies have connections of their own.
    func database(for prepared: Prepared) -> PostgresClient { prepared.isEmergency ? lane : database }

    // MARK: - Parts

    /// A routine report has its turn, or must wait.
    private func admit(_ sender: Sender, now: Timestamp) throws {
        try limits.report(sender, now: now)
        try admission.admitRoutine(now: now)
    }

    private func judge(
        _ sender: Sender, deviceHash: [UInt8]?, emergency: Bool, keyring: Keyring
    ) async throws -> (verdict: SenderVerdict, spent: Spent?) {
        guard emergency else { return (.routine, nil) }
        if sender.isSignedIn { return (.judged(.signedIn), nil) }
        guard let deviceHash else { return (.judged(.noDevice), nil) }
        let prefix = AddressPrefix.of(sender.address).map { keyring.hash($0, for: .address) }
        do {
            let levels = try await BudgetStore(database: lane).spend(
                device: deviceHash, prefix: prefix, budget: budget)
            return (
                .judged(budget.verdict(deviceLevel: levels.device, prefixLevel: levels.prefix)),
                Spent(device: deviceHash, prefix: prefix)
            )
        } catch let error as PostgresError where error.isTransient {
            // The counters are a convenience; the emergency is not.
            logger.warning("a sender's budget could not be read", metadata: ["error": "\(error)"])
            return (.judged(.withinBudget), nil)
        }
    }

    private func write(
        _ record: ReportRecord, _ sound: SoundReport, sender: Sender, keyring: Keyring
    ) throws -> Prepared {
        let code = TrackingCode(randomBytes: sources.randomBytes(TrackingCode.randomBytesNeeded))
        let contact = try sound.contact.map {
            try SealedContact(
                $0, personID: sources.randomUUID(record.receivedAt), master: master, keyring: keyring)
        }
        let announcement = try announce(record, sender: sender)
        var statements = [
            try ReportStatements.insert(record, personID: contact?.personID),
            ReportStatements.track(record, codeHash: keyring.hash(code.canonicalBytes, for: .tracking)),
        ]
        if let contact { statements += ReportStatements.contact(contact, of: record) }
        statements += messaging.announce([announcement])
        return Prepared(
            record: record, receipt: receipt(record, sound, code: code), statements: statements,
            announcement: announcement, spent: nil)
    }

    private func announce(_ record: ReportRecord, sender: Sender) throws -> Announcement {
        let snapshot = ReportSnapshot(
            reportID: record.id, districtID: record.districtID, streetID: record.streetID, gridID: record.gridID,
            communityID: record.communityID, facilityID: record.facilityID, kind: record.kind,
            category: record.category, channel: record.channel, emergency: record.decision.emergency,
            severity: record.decision.severity, personAtRisk: record.personAtRisk,
            verified: record.verdict.isVerified, deviceHash: record.deviceHash, place: record.place,
            receivedAt: record.receivedAt, observedAt: record.observedAt, ruleVersion: record.decision.ruleVersion,
            ruleReason: "\(record.decision.reason.zh) / \(record.decision.reason.en)")
        let event = Event(
            id: EventRecord.ID(sources.randomUUID(record.receivedAt)), source: .intake, type: .reportReceived,
            time: record.receivedAt, district: record.districtID, aggregateID: record.id.rawValue,
            aggregateVersion: 1, lane: record.decision.emergency ? .emergency : .routine,
            traceparent: sender.traceparent, data: try JSONBytes.encode(snapshot))
        return Announcement(
            event: event, actor: sender.actor, observedAt: record.observedAt, receivedAt: record.receivedAt)
    }

    private func receipt(_ record: ReportRecord, _ sound: SoundReport, code: TrackingCode) -> ReportReceipt {
        ReportReceipt(
            id: record.id, code: code.description, trackingURL: "\(publicURL)/v1/reports/\(code)",
            receivedAt: record.receivedAt, emergency: record.decision.emergency,
            verified: record.verdict.isVerified, reason: record.decision.reason,
            category: ReportReceipt.Name(
                code: record.category, nameZH: sound.category.stored.nameZH, nameEN: sound.category.stored.nameEN),
            place: ReportReceipt.Place(
                lon: record.place.lon, lat: record.place.lat, district: .init(sound.location.district),
                street: sound.location.street.map { .init($0) }, grid: sound.location.grid.map { .init($0) },
                community: sound.location.community.map { .init($0) }),
            advice: .advice(
                emergency: record.decision.emergency,
                code: EmergencyRule.Code(rawValue: record.decision.reason.code)),
            photos: [])
    }
}

/// Lets routine reports in at the rate that the emergency lane leaves.
final class AdmissionGate: Sendable {
    private let state: Mutex<RoutineAdmission>
    private let share: @Sendable () -> Double

    init(maximum: Double, floor: Double, share: @escaping @Sendable () -> Double) {
        self.state = Mutex(RoutineAdmission(maximum: maximum, floor: floor))
        self.share = share
    }

    /// Throws a `Problem` (429) with `Retry-After` if routine reports must wait.
    func admitRoutine(now: Timestamp) throws {
        let share = share()
        if case .shed(let seconds) = state.withLock({ $0.decide(share: share, now: now) }) {
            Counter(label: "sluice_reports_shed_total").increment()
            throw Problem.tooMany(retryAfter: seconds)
        }
    }
}
