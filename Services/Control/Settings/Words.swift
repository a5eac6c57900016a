public import ArgumentParser
public import Model

// Words of the field as options: a wrong one is refused with those that there are.
extension Role: ExpressibleByArgument {}
extension FacilityKind: ExpressibleByArgument {}
extension PipeSystem: ExpressibleByArgument {}
extension ServiceName: ExpressibleByArgument {}
