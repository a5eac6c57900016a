import Logging
import Outbox
import Postgres
import ServiceLifecycle

/// Works the claim queue: after every commit that adds a case or frees a crew, and every 250 ms besides, since another
/// instance's commits wake nobody here. One for each lane, so that routine work never keeps an emergency waiting.
struct ClaimLoop: Service {
    enum Work: Sendable {
        case emergencies
        /// At most so many cases a round, and rests between the rounds, as the lane leaves room.
        case routine(limit: Int, flow: FlowControl)
    }

    let work: Work
    let claiming: Claiming
    let wake: Wake
    let interval: Duration
    let logger: Logger

    func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await repeatUntilShutdown(every: interval) { wake.signal() }
                wake.finish()
            }
            for await _ in wake.signals {
                await round()
                if Task.isShuttingDownGracefully { break }
            }
            group.cancelAll()
        }
    }

    private func round() async {
        do {
            switch work {
            case .emergencies: try await claiming.claimEmergencies()
            case .routine(let limit, let flow):
                // Emergencies are another loop's.
                try await claiming.claimRoutine(limit: limit) { took in
                    try? await Task.sleep(for: flow.rest(after: took))
                    return !Task.isShuttingDownGracefully
                }
            }
        } catch {
            logger.warning("claims stopped early", metadata: ["error": "\(error)"])
        }
    }
}
