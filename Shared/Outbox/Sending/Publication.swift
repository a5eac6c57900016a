internal import AMQP
internal import Model

/// What goes to the broker as one message: an event, or a CloudEvents batch of routine events with one routing key. The
/// broker's work, and the disk's that it shares with the database, is by the message.
struct Publication: Sendable {
    var rows: [OutboxRow]

    /// Events of one message at most, and their bytes: a consumer holds a hundred messages in its hands.
    static let most = 25
    static let mostBytes = 64 * 1024

    /// In the rows' order within each key. Emergencies go one by one, so that none waits for another.
    static func together(_ rows: [OutboxRow]) -> [Publication] {
        var publications: [Publication] = []
        var open: [String: (index: Int, bytes: Int)] = [:]
        for row in rows {
            if let (index, bytes) = open[row.routingKey], publications[index].rows.count < most,
                bytes + row.body.count <= mostBytes
            {
                publications[index].rows.append(row)
                open[row.routingKey] = (index, bytes + row.body.count)
            } else {
                open[row.routingKey] = (publications.count, row.body.count)
                publications.append(Publication(rows: [row]))
            }
        }
        return publications
    }

    var routingKey: String { rows[0].routingKey }

    /// Of a batch the id is the first event's: it is for people who look at queues.
    func properties(from service: ServiceName) -> MessageProperties {
        MessageProperties(
            contentType: rows.count == 1 ? Event.contentType : EventBatch.contentType,
            messageID: EventRecord.ID(rows[0].id).description, appID: service.rawValue, type: rows[0].type)
    }

    var body: [UInt8] { rows.count == 1 ? rows[0].body : EventBatch.join(rows.map(\.body)) }
}
