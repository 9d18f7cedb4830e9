import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.backend.memory.MemoryDatabase;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.BsonConstants;
import io.netty.channel.Channel;
import java.time.Instant;
import java.util.List;
import java.util.Set;

/** mongo-java-server in memory, as the primary of a replica set of one, with sessions and transactions. */
final class ReplicaSet extends MemoryBackend {
    private static final int WIRE_VERSION = 17;
    private static final int LARGEST_MESSAGE = 48_000_000;
    private static final Set<String> WITHOUT_PRIMARY =
        Set.of("ping", "buildInfo", "killCursors", "getMore", "dropDatabase");

    private final Recorder recorder;
    private final Faults faults = new Faults();
    private final Transactions transactions;
    private final Sessions sessions;
    private String name;
    private long primaryFrom;

    ReplicaSet(Recorder recorder) {
        this.recorder = recorder;
        this.transactions = new Transactions(recorder, this);
        this.sessions = new Sessions(transactions);
        version(new Six());
    }

    /** Its host and port, by which drivers know it. */
    void nameItself(String address) {
        name = address;
    }

    @Override
    public MemoryDatabase openOrCreateDatabase(String database) {
        return recorder.database(database, getCursorRegistry());
    }

    @Override
    public synchronized Document handleCommand(Channel channel, String database, String command, Document query) {
        try {
            return answer(channel, database, command, query);
        } catch (Refusal refusal) {
            return refusal.answer();
        }
    }

    private Document answer(Channel channel, String database, String command, Document query) {
        switch (command) {
            case "hello", "ismaster", "isMaster":
                return hello();
            case "configureFailPoint":
                return faults.configure(query);
            case "replSetStepDown":
                return stepDown(((Number) query.get(command)).longValue());
            case "endSessions":
                return sessions.end(query);
            default:
        }
        boolean isInTransaction = query.containsKey("autocommit") && !command.equals("commitTransaction");
        String label = isInTransaction ? Refusal.TRANSIENT : Refusal.RETRYABLE;
        boolean fails = faults.strikes(command);
        if (fails && !faults.isLate()) {
            throw faults.failure(channel, label);
        }
        if (!isPrimary() && !WITHOUT_PRIMARY.contains(command)) {
            throw Refusal.notWritablePrimary(label);
        }
        Document answer = sessions.run(command, query, () -> super.handleCommand(channel, database, command, query));
        if (fails) {
            throw faults.failure(channel, label);
        }
        return answer;
    }

    private Document hello() {
        Document answer = new Document("helloOk", true)
            .append("ismaster", isPrimary())
            .append("isWritablePrimary", isPrimary())
            .append("secondary", !isPrimary())
            .append("setName", "wire")
            .append("setVersion", 1)
            .append("hosts", List.of(name))
            .append("me", name)
            .append("logicalSessionTimeoutMinutes", 30)
            .append("maxBsonObjectSize", BsonConstants.MAX_BSON_OBJECT_SIZE)
            .append("maxMessageSizeBytes", LARGEST_MESSAGE)
            .append("maxWriteBatchSize", 100_000)
            .append("minWireVersion", 0)
            .append("maxWireVersion", WIRE_VERSION)
            .append("localTime", Instant.now());
        if (isPrimary()) {
            answer.append("primary", name);
        }
        return answer.append("ok", 1.0);
    }

    /** No primary for so many seconds; open transactions end. */
    private Document stepDown(long seconds) {
        primaryFrom = System.currentTimeMillis() + seconds * 1000;
        transactions.abortAll();
        return new Document("ok", 1.0);
    }

    private boolean isPrimary() {
        return System.currentTimeMillis() >= primaryFrom;
    }

    private static final class Six implements MongoVersion {
        @Override
        public List<Integer> getVersionArray() {
            return List.of(6, 0, 0);
        }

        @Override
        public int getWireVersion() {
            return WIRE_VERSION;
        }
    }
}
