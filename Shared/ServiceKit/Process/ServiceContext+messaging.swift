import AMQP
public import Outbox
public import ServiceLifecycle

extension ServiceContext {
    /// What runs beside a service's handlers so that what they announce gets out: relays, publishers and their upkeep,
    /// each with its place in the order of the stop. Their health becomes part of `/health/ready`: degraded while the
    /// broker is away, since emergencies go round it and routine events wait in the database.
    public func messagingServices(settings: RelaySettings = RelaySettings()) -> [any Service] {
        let messagingServices = MessagingServices(
            messaging: messaging, databases: MessagingDatabases(lane: lane, background: background),
            amqp: configuration.amqp, loops: MessagingLoops(lane: laneEventLoop, routine: eventLoop), flow: flow,
            settings: settings, logger: logger)
        health.add(HealthCheck("broker_emergency") { Self.answer(messagingServices.health.emergencyPublisher) })
        health.add(HealthCheck("broker_routine") { Self.answer(messagingServices.health.routinePublisher) })
        return messagingServices.services.map { service in
            // A lane member goes to the lane's thread by itself (`SupervisedService.wrap`).
            service is AMQPPublisher
                ? service.stopping(in: .broker, name: "publisher") : service.stopping(in: .confirms)
        }
    }

    private static func answer(_ state: ConnectionState) -> HealthCheck.Answer {
        switch state {
        case .connected: .ok
        case .blocked(let reason, _): .degraded("the broker accepts no publishes: \(reason)")
        case .disconnected(let reason): .degraded(reason)
        }
    }
}
