import FoundationEssentials
import Logging
import Metrics
import ServiceLifecycle

/// Catches up at the start and then each minute: the queue of the ledger may drop its oldest messages.
struct CatchUp: Service {
    let ledger: Ledger
    let logger: Logger
    var pause: Duration = .seconds(60)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    let read = try await ledger.catchUp()
                    Counter(label: "sluice_ledger_history_rows_read_total").increment(by: read)
                } catch is CancellationError {
                    return
                } catch {
                    // The marks stay where they are; the next round reads the same again.
                    logger.warning("the ledger waits for a history", metadata: ["error": "\(error)"])
                }
                try? await Task.sleep(for: pause)
            }
        }
    }
}
