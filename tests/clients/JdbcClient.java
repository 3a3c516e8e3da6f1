// JDBC as an application uses it: prepared statements, batches, cursors by fetch size, COPY, time
// limits, notifications. The address comes from libpq's variables; args[0] says whether a service
// or a person asks.
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;

public class JdbcClient {
    static boolean person;
    static int people;

    static void said(String what) {
        System.out.println("ok " + what);
    }

    static void check(boolean fine, String what) {
        if (!fine)
            throw new AssertionError(what);
    }

    static Connection connect() throws SQLException {
        Properties p = new Properties();
        p.setProperty("user", System.getenv("PGUSER"));
        p.setProperty("password", System.getenv("PGPASSWORD"));
        p.setProperty("sslmode", "verify-full");
        p.setProperty("sslrootcert", System.getenv("PGSSLROOTCERT"));
        return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":"
            + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE"), p);
    }

    static int count(ResultSet r) throws SQLException {
        int n = 0;
        while (r.next())
            n++;
        return n;
    }

    static void reads(Connection c) throws SQLException {
        try (Statement s = c.createStatement()) {
            check(count(s.executeQuery("select * from users")) == people, "rows");
        }
        said("rows");
        try (PreparedStatement s = c.prepareStatement("select ?::int + 1")) {
            for (int i = 0; i < 20; i++) { // from the fifth on named and binary
                s.setInt(1, i);
                ResultSet r = s.executeQuery();
                check(r.next() && r.getInt(1) == i + 1, "prepared");
            }
        }
        said("prepared");
        c.setAutoCommit(false);
        try (Statement s = c.createStatement()) {
            s.setFetchSize(100);
            check(count(s.executeQuery("select * from watch_events")) > 1000, "fetch size");
        }
        c.commit();
        said("portal in pieces");
        try (Statement s = c.createStatement()) {
            s.executeQuery("select 1/0");
            check(false, "no error");
        } catch (SQLException e) {
            check("22012".equals(e.getSQLState()), e.toString());
            c.rollback();
        }
        c.setAutoCommit(true);
        said("error and rollback");
    }

    static void others(Connection c) throws Exception {
        PGConnection pg = c.unwrap(PGConnection.class);
        StringWriter out = new StringWriter();
        check(pg.getCopyAPI().copyOut("copy (select id from users) to stdout", out) == people, "copy");
        said("copy out");
        try (Statement s = c.createStatement()) {
            s.setQueryTimeout(1);
            s.executeQuery("select count(*) from watch_events a, watch_events b, watch_events d");
            check(false, "not cancelled");
        } catch (SQLException e) {
            check("57014".equals(e.getSQLState()), e.toString());
        }
        said("time limit by cancel request");
        check(c.getMetaData().getTables(null, null, "users", null).next(), "meta data");
        said("meta data");
    }

    static void writes(Connection c) throws Exception {
        c.setAutoCommit(false);
        try (PreparedStatement s = c.prepareStatement("insert into scratch(name, value) values (?, ?)")) {
            for (int i = 0; i < 500; i++) {
                s.setString(1, "jdbc-" + i);
                s.setString(2, "é");
                s.addBatch();
            }
            check(s.executeBatch().length == 500, "batch");
        }
        PGConnection pg = c.unwrap(PGConnection.class);
        check(pg.getCopyAPI().copyIn("copy scratch(name) from stdin", new StringReader("jdbc-x\n")) == 1,
            "copy in");
        c.rollback();
        c.setAutoCommit(true);
        said("batch and copy in");
        try (Statement s = c.createStatement()) {
            s.execute("listen jdbc");
            s.execute("notify jdbc, 'hello'");
        }
        PGNotification[] got = pg.getNotifications(5000);
        check(got.length == 1 && "hello".equals(got[0].getParameter()), "notification");
        said("notification");
    }

    public static void main(String[] args) throws Exception {
        person = args[0].equals("person");
        people = person ? 190 : 200;
        try (Connection c = connect()) {
            reads(c);
            others(c);
            if (!person)
                writes(c);
        }
    }
}
