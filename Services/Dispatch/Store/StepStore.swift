import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

/// The statements on `dispatch.order_step`.
enum StepStore {
    private struct Record: Encodable {
        var result: StepResult
        var order: OrderRecord
        var account: Account.ID
        var offset: Duration?
        var receivedAt: Timestamp

        func encode(to encoder: any Encoder) throws {
            var row = encoder.container(keyedBy: ColumnName.self)
            let step = result.step
            try row.encode(Identifier<Self>(step.stepID), forKey: "step_id")
            try row.encode(order.orderID, forKey: "order_id")
            try row.encode(order.crewID, forKey: "crew_id")
            try row.encode(order.districtID, forKey: "district_id")
            try row.encode(step.kind, forKey: "kind")
            try row.encode(step.observedAt, forKey: "observed_at")
            try row.encode(receivedAt, forKey: "received_at")
            try row.encode(result.time.at, forKey: "counted_at")
            try row.encode(result.time.counted, forKey: "counted")
            try row.encode(result.time.reason.code, forKey: "counted_reason")
            try row.encodeIfPresent(offset.map { $0.microseconds / 1_000 }, forKey: "offset_ms")
            try row.encode(step.basedOn, forKey: "based_on")
            try row.encode(result.outcome, forKey: "outcome")
            try row.encode(result.reason.code, forKey: "outcome_code")
            try row.encode(result.reason.zh, forKey: "outcome_zh")
            try row.encode(result.reason.en, forKey: "outcome_en")
            try row.encodeIfPresent(step.note, forKey: "note")
            try row.encode(step.photos, forKey: "photos")
            try row.encodeIfPresent(step.place?.lon, forKey: "lon")
            try row.encodeIfPresent(step.place?.lat, forKey: "lat")
            try row.encode(account, forKey: "account_id")
        }
    }

    static let columns: SQL = """
        step_id, order_id, crew_id, district_id, kind, observed_at, received_at, counted_at, counted, counted_reason,
        offset_ms, based_on, outcome, outcome_code, outcome_zh, outcome_en, note, photos, lon, lat, account_id
        """

    static func insert(
        _ results: [StepResult], order: OrderRecord, account: Account.ID, offset: Duration?, receivedAt: Timestamp
    ) throws -> [SQL] {
        guard !results.isEmpty else { return [] }
        let records = results.map {
            Record(result: $0, order: order, account: account, offset: offset, receivedAt: receivedAt)
        }
        return [
            """
            INSERT INTO dispatch.order_step (\(columns))
            SELECT \(columns)
            FROM json_populate_recordset(NULL::dispatch.order_step, \(try RecordText.text(of: records))::json)
            """
        ]
    }

    static func known(_ steps: [UUID], crew: Crew.ID) -> SQL {
        "SELECT \(columns) FROM dispatch.order_step WHERE crew_id = \(crew) AND step_id = ANY (\(steps))"
    }

    static func result(_ row: Row) throws -> StepResult {
        var place: Coordinate?
        if let lon: Double = try row.decode("lon"), let lat: Double = try row.decode("lat") {
            place = Coordinate(lon: lon, lat: lat)
        }
        let step = ObservedStep(
            stepID: try row.decode("step_id"), kind: try row.decode("kind"), observedAt: try row.decode("observed_at"),
            basedOn: try row.decode("based_on"), note: try row.decode("note"), photos: try row.decode("photos"),
            place: place)
        return StepResult(
            step: step, outcome: try row.decode("outcome"),
            reason: Reason(
                try row.decode("outcome_code"), zh: try row.decode("outcome_zh"), en: try row.decode("outcome_en")),
            time: ObservedTime.Decision(
                at: try row.decode("counted_at"), counted: try row.decode("counted"),
                reason: Reason(try row.decode("counted_reason"), zh: "", en: "")))
    }
}
