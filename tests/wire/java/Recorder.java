import de.bwaldvogel.mongo.backend.CollectionOptions;
import de.bwaldvogel.mongo.backend.Cursor;
import de.bwaldvogel.mongo.backend.CursorRegistry;
import de.bwaldvogel.mongo.backend.memory.MemoryCollection;
import de.bwaldvogel.mongo.backend.memory.MemoryDatabase;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.oplog.NoopOplog;
import java.util.ArrayList;
import java.util.List;
import java.util.ListIterator;

/** Notes each document that a command writes, as it was and as it is, so that it can be undone. */
final class Recorder {
    /** A document's change; null where there was, or is, none. */
    record Written(MemoryCollection collection, Object id, Document before, Document after) {
        boolean isOfTheSameAs(Written other) {
            return collection == other.collection && id.equals(other.id);
        }

        private void set(Document from, Document to) {
            Document key = new Document("_id", id);
            if (from == null) {
                collection.addDocument(to.cloneDeeply());
            } else if (to == null) {
                collection.deleteDocuments(key, 1, NoopOplog.get());
            } else {
                collection.updateDocuments(key, to.cloneDeeply(), null, false, false, NoopOplog.get());
            }
        }
    }

    private List<Written> notes;

    /** Notes what is written from now on. */
    void begin() {
        notes = new ArrayList<>();
    }

    /** What was written since {@code begin}; nothing is noted from now on. */
    List<Written> end() {
        List<Written> found = notes;
        notes = null;
        return found;
    }

    /** Makes changes again. A duplicate key leaves none of them and is thrown. */
    static void redo(List<Written> changes) {
        List<Written> done = new ArrayList<>();
        try {
            for (Written change : changes) {
                change.set(change.before, change.after);
                done.add(change);
            }
        } catch (RuntimeException error) {
            undo(done);
            throw error;
        }
    }

    /** Takes changes back, the last first. */
    static void undo(List<Written> changes) {
        ListIterator<Written> each = changes.listIterator(changes.size());
        while (each.hasPrevious()) {
            Written change = each.previous();
            change.set(change.after, change.before);
        }
    }

    /** A database whose collections tell this recorder what is written. */
    MemoryDatabase database(String name, CursorRegistry cursors) {
        return new MemoryDatabase(name, cursors) {
            @Override
            protected MemoryCollection openOrCreateCollection(String collection, CollectionOptions options) {
                return new Recorded(this, collection, options, cursors);
            }
        };
    }

    private final class Recorded extends MemoryCollection {
        Recorded(MemoryDatabase database, String name, CollectionOptions options, CursorRegistry cursors) {
            super(database, name, options, cursors);
        }

        @Override
        protected Integer addDocumentInternal(Document document) {
            note(null, document);
            return super.addDocumentInternal(document);
        }

        @Override
        protected void removeDocument(Integer position) {
            note(getDocument(position), null);
            super.removeDocument(position);
        }

        @Override
        protected void handleUpdate(Integer position, Document before, Document after) {
            note(before, after);
            super.handleUpdate(position, before, after);
        }

        @Override
        protected Cursor createCursor(List<Document> rest) {
            return super.createCursor(notes == null ? rest : rest.stream().map(Document::cloneDeeply).toList());
        }

        private void note(Document before, Document after) {
            if (notes != null && !getCollectionName().startsWith("system.")) {
                Object id = (before == null ? after : before).get("_id");
                notes.add(new Written(this, id, copy(before), copy(after)));
            }
        }

        private Document copy(Document document) {
            return document == null ? null : document.cloneDeeply();
        }
    }
}
