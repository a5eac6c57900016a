import FoundationEssentials
import Model
import Outbox

/// Makes the announcements of notices.
struct NoticeAnnouncer: Sendable {
    let sources: Sources

    func announce(
        _ type: EventType, _ snapshot: NoticeSnapshot, actor: String, causation: EventRecord.ID? = nil,
        traceparent: String? = nil
    ) throws -> Announcement {
        let now = sources.now()
        return Announcement(
            event: Event(
                id: Identifier(sources.randomUUID(now)), source: .notification, type: type, time: now,
                district: snapshot.districtID, aggregateID: snapshot.noticeID.rawValue,
                aggregateVersion: snapshot.version, lane: snapshot.emergency ? .emergency : .routine,
                canary: snapshot.districtID == District.canary, causationID: causation, traceparent: traceparent,
                data: try JSONBytes.encode(snapshot)),
            actor: actor)
    }
}
