import java.io.*;
import java.nio.charset.StandardCharsets;
import java.security.*;
import java.security.cert.*;
import java.util.*;
import javax.net.ssl.*;

/** Opens PKCS#12 stores and prints their entries; a private key must sign what its certificate verifies. */
final class ReadStores {
    public static void main(String[] arguments) throws Exception {
        try (var in = new DataInputStream(new BufferedInputStream(new FileInputStream(arguments[0])));
                var out = new DataOutputStream(new BufferedOutputStream(System.out))) {
            for (int left = in.readInt(); left > 0; left--) {
                char[] password = new String(in.readNBytes(in.readInt()), StandardCharsets.UTF_8).toCharArray();
                byte[] content = in.readNBytes(in.readInt());
                var store = KeyStore.getInstance("PKCS12");
                store.load(new ByteArrayInputStream(content), password);
                List<String> aliases = Collections.list(store.aliases());
                Collections.sort(aliases);
                out.writeInt(aliases.size());
                for (String alias : aliases) {
                    write(out, alias.getBytes(StandardCharsets.UTF_16BE));
                    boolean isKey = store.isKeyEntry(alias);
                    out.writeBoolean(isKey);
                    var chain = isKey ? store.getCertificateChain(alias) : new java.security.cert.Certificate[] {store.getCertificate(alias)};
                    if (isKey) {
                        prove((PrivateKey) store.getKey(alias, password), chain[0].getPublicKey());
                        KeyManagerFactory.getInstance("PKIX").init(store, password);
                    }
                    out.writeInt(chain.length);
                    for (var certificate : chain) {
                        write(out, certificate.getEncoded());
                    }
                }
                // Throws unless at least one certificate is trusted.
                if (aliases.stream().noneMatch(alias -> isKey(store, alias))) {
                    new PKIXParameters(store);
                }
            }
        }
    }

    private static boolean isKey(KeyStore store, String alias) {
        try {
            return store.isKeyEntry(alias);
        } catch (KeyStoreException error) {
            throw new IllegalStateException(error);
        }
    }

    private static void prove(PrivateKey key, PublicKey publicKey) throws GeneralSecurityException {
        String algorithm = switch (key.getAlgorithm()) {
            case "RSA" -> "SHA256withRSA";
            case "EC" -> "SHA256withECDSA";
            default -> "Ed25519";
        };
        byte[] message = {1, 2, 3};
        var signer = Signature.getInstance(algorithm);
        signer.initSign(key);
        signer.update(message);
        byte[] signature = signer.sign();
        var verifier = Signature.getInstance(algorithm);
        verifier.initVerify(publicKey);
        verifier.update(message);
        if (!verifier.verify(signature)) {
            throw new SignatureException("the private key and the certificate do not fit");
        }
    }

    private static void write(DataOutputStream out, byte[] bytes) throws IOException {
        out.writeInt(bytes.length);
        out.write(bytes);
    }
}
