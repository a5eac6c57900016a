extension SampleRows {
    /// Into notification: street offices and their contacts.
    func addOffices(_ city: SampleCity) async throws -> [SeededTable] {
        []
    }
}
