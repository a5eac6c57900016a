internal import AMQP
internal import Foundation
internal import Logging
internal import NIOPosix
internal import Outbox

/// The broker: reachable, the queues there, the policies in force.
struct BrokerChecks: CheckGroup {
    let settings: ControlSettings

    /// Queues that somebody acts on; what they hold is work that waits.
    private static let acting = [
        "dispatch.emergency", "dispatch.routine", "notification.emergency", "notification.routine",
    ]
    private static let recording = ["scoring.events"]
    private static let dead = ["dispatch.dead", "notification.dead"]

    func run() async -> [CheckFinding] {
        do {
            let findings = try await overAMQP(settings.amqp())
            return findings + [await policies()].compactMap { $0 }
        } catch {
            return [.bad("broker.settings", "\(error)", mend: "correct the SLUICE_AMQP_… settings")]
        }
    }

    private func overAMQP(_ configuration: AMQPConfiguration) async throws -> [CheckFinding] {
        var logger = Logger(label: "sluicectl")
        logger.logLevel = .critical
        let publisher = AMQPPublisher(
            configuration: configuration, topology: Topology(),
            eventLoop: MultiThreadedEventLoopGroup.singleton.next(), logger: logger)
        return try await withThrowingTaskGroup(of: [CheckFinding]?.self) { group in
            group.addTask {
                try await publisher.run()
                return nil
            }
            group.addTask {
                guard await publisher.waitUntilConnected(within: .seconds(6)) else {
                    return [
                        .bad(
                            "broker.reach",
                            "no connection to \(configuration.hosts.map(\.description).joined(separator: ", "))",
                            mend:
                                "is RabbitMQ running (deploy/stack/rabbitmq status)? are SLUICE_AMQP_HOSTS, user, password and virtual host right?"
                        )
                    ]
                }
                return [.good("broker.reach", "connected")] + (await queues(publisher))
            }
            defer { group.cancelAll() }
            while let answer = try await group.next() {
                if let findings = answer { return findings }
            }
            return []
        }
    }

    private func queues(_ publisher: AMQPPublisher) async -> [CheckFinding] {
        var findings: [CheckFinding] = []
        for queue in Self.acting + Self.recording + Self.dead {
            do {
                let ready = try await publisher.readyCount(queue: queue)
                let fact = "\(ready.count) messages wait"
                if Self.dead.contains(queue), ready.count > 0 {
                    findings.append(
                        .doubtful("broker.\(queue)", fact, mend: "its service drains it: is it running?"))
                } else if Self.acting.contains(queue), ready.count >= 20_000 {
                    findings.append(
                        .doubtful(
                            "broker.\(queue)", fact, mend: "its consumers are behind: more instances, or look why"))
                } else {
                    findings.append(.good("broker.\(queue)", fact))
                }
            } catch {
                findings.append(
                    .bad("broker.\(queue)", "\(error)", mend: "any service that starts declares the queues"))
            }
        }
        return findings
    }

    /// AMQP does not show policies; `SLUICE_RABBITMQCTL` names the command that does.
    private func policies() async -> CheckFinding? {
        let check = "broker.policies"
        guard let command = try? settings.reader.text("SLUICE_RABBITMQCTL") else { return nil }
        let vhost = (try? settings.reader.text("SLUICE_AMQP_VHOST")) ?? "sluice"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "\(command) -q list_policies -p \"$0\"", vhost]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else {
            return .doubtful(check, "\(command) does not run", mend: "correct SLUICE_RABBITMQCTL")
        }
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        let missing = ["delivery-limit", "at-least-once", "reject-publish", "drop-head"].filter { !text.contains($0) }
        guard missing.isEmpty else {
            return .bad(
                check, "not in force: \(missing.joined(separator: ", "))", mend: "deploy/stack/rabbitmq import")
        }
        return .good(check, "limits and dead-lettering are in force")
    }
}
