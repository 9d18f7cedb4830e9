import de.bwaldvogel.mongo.bson.Document;
import io.netty.channel.Channel;
import java.util.List;

/**
 * What goes wrong by order of a test: MongoDB's own fail point {@code failCommand}.
 *
 * Of its data, {@code failCommands}, {@code errorCode}, {@code errorLabels} and {@code closeConnection}
 * are known; and {@code after}, which MongoDB has not: the command is done before it fails. A mode may
 * have both {@code skip} and {@code times}.
 */
final class Faults {
    private List<?> commands = List.of();
    private Document data;
    private int skip;
    private int times;

    Document configure(Document query) {
        Object mode = query.get("mode");
        data = (Document) query.getOrDefault("data", new Document());
        commands = "off".equals(mode) ? List.of() : (List<?>) data.get("failCommands");
        Document counts = mode instanceof Document ? (Document) mode : new Document();
        skip = ((Number) counts.getOrDefault("skip", 0)).intValue();
        times = ((Number) counts.getOrDefault("times", Integer.MAX_VALUE)).intValue();
        return new Document("ok", 1.0);
    }

    /** Whether this command is to fail. */
    boolean strikes(String command) {
        if (!commands.contains(command) || skip-- > 0) {
            return false;
        }
        return times-- > 0;
    }

    /** Whether it fails when it has been done. */
    boolean isLate() {
        return Boolean.TRUE.equals(data.get("after"));
    }

    /** Fails: breaks the connection, or answers with the error. */
    Refusal failure(Channel channel, String label) {
        if (Boolean.TRUE.equals(data.get("closeConnection"))) {
            channel.close();
        }
        int code = ((Number) data.getOrDefault("errorCode", 0)).intValue();
        List<String> labels = ((List<?>) data.getOrDefault("errorLabels", List.of(label)))
            .stream().map(Object::toString).toList();
        return new Refusal(code, "FailCommand", "failed by order of a test", labels);
    }
}
