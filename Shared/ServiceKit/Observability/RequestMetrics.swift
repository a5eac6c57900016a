import CoreMetrics
import HTTPTypes
import Synchronization

/// Counts and times requests by route. Routes are the templates of the document, so the number of series is bounded.
final class RequestMetrics: Sendable {
    private struct Key: Hashable {
        let method: String
        let route: String
        let status: Int
    }

    private let registry: MetricsRegistry
    private let counters = Mutex<[Key: any CounterHandler]>([:])
    private let timers = Mutex<[String: any TimerHandler]>([:])

    init(registry: MetricsRegistry) { self.registry = registry }

    func record(_ method: HTTPRequest.Method, route: String, _ status: Int, seconds: Double) {
        // A method may be any word; only the usual ones get a label of their own.
        let known: Set<HTTPRequest.Method> = [.get, .post, .put, .patch, .delete, .head, .options]
        let key = Key(method: known.contains(method) ? method.rawValue : "other", route: route, status: status)
        let counter = counters.withLock { counters in
            if let counter = counters[key] { return counter }
            let counter = registry.makeCounter(
                label: "http_requests",
                dimensions: [("method", key.method), ("route", route), ("status", String(status))])
            counters[key] = counter
            return counter
        }
        counter.increment(by: 1)
        let timer = timers.withLock { timers in
            if let timer = timers[route] { return timer }
            let timer = registry.makeTimer(label: "http_request", dimensions: [("route", route)])
            timers[route] = timer
            return timer
        }
        timer.recordNanoseconds(Int64(seconds * 1e9))
    }
}
