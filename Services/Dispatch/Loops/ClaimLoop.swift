import Logging
import Postgres
import ServiceLifecycle

/// Works the claim queue: after every commit that adds a case or frees a crew, and every 250 ms besides, since another
/// instance's commits wake nobody here. One for each lane, so that routine work never keeps an emergency waiting.
struct ClaimLoop: Service {
    enum Work: Sendable {
        case emergencies
        /// At most so many cases a round, and a rest between two rounds; the share that pressure leaves decides both.
        case routine(limit: @Sendable () -> Int, rest: @Sendable () -> Duration)
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
            case .routine(let limit, let rest):
                // Until the queue's head has nobody to go to; emergencies are another loop's. Small rounds without a
                // rest would cost the lane more than large ones.
                while try await claiming.claimRoutine(limit: limit()) > 0, !Task.isShuttingDownGracefully {
                    try? await Task.sleep(for: rest())
                }
            }
        } catch {
            logger.warning("claims stopped early", metadata: ["error": "\(error)"])
        }
    }
}
