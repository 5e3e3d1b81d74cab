import java.io.*;
import java.nio.charset.StandardCharsets;
import java.util.*;

/** Reads properties files, as bytes and as UTF-8 text, and prints what is in them and how Java itself writes it. */
final class ReadProperties {
    /** Remembers the order in which entries are read. */
    static final class Ordered extends Properties {
        final List<String[]> entries = new ArrayList<>();

        @Override
        public synchronized Object put(Object key, Object value) {
            entries.add(new String[] {(String) key, (String) value});
            return super.put(key, value);
        }
    }

    public static void main(String[] arguments) throws IOException {
        try (var in = new DataInputStream(new BufferedInputStream(new FileInputStream(arguments[0])));
                var out = new DataOutputStream(new BufferedOutputStream(System.out))) {
            for (int left = in.readInt(); left > 0; left--) {
                byte[] content = in.readNBytes(in.readInt());
                var read = new Ordered();
                read.load(new ByteArrayInputStream(content));
                var again = new Ordered();
                again.load(new InputStreamReader(new ByteArrayInputStream(content), StandardCharsets.UTF_8));
                if (!read.equals(again)) {
                    throw new IOException("not the same in UTF-8: " + read + " and " + again);
                }
                out.writeInt(read.entries.size());
                for (String[] entry : read.entries) {
                    for (String text : entry) {
                        write(out, text.getBytes(StandardCharsets.UTF_16BE));
                    }
                    var one = new Properties();
                    one.setProperty(entry[0], entry[1]);
                    var stored = new ByteArrayOutputStream();
                    one.store(stored, null);
                    String text = stored.toString(StandardCharsets.ISO_8859_1);
                    // The first line is the date.
                    write(out, text.substring(text.indexOf('\n') + 1).getBytes(StandardCharsets.UTF_16BE));
                }
            }
        }
    }

    private static void write(DataOutputStream out, byte[] bytes) throws IOException {
        out.writeInt(bytes.length);
        out.write(bytes);
    }
}
