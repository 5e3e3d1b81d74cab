use proptest::prelude::*;
use serde_json::json;
use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_protocol::sync::{Format, SecretKey};

use super::*;

/// A secret for a template: how the file names it, and what it is.
#[derive(Clone, Debug)]
struct Given {
    input: Input,
    fields: Vec<String>,
    text: SecretText,
}

fn plain(name: &str, value: &str) -> Given {
    let secret = SecretKey { namespace: "shop".into(), name: name.into() };
    Given { input: Input { secret, field: None, alias: None }, fields: vec![], text: SecretText::new(value.to_owned()) }
}

fn structured(name: &str, fields: &[(&str, &str)]) -> Given {
    let value: serde_json::Map<_, _> = fields.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
    let mut given = plain(name, &serde_json::Value::from(value).to_string());
    given.fields = fields.iter().map(|(name, _)| (*name).to_owned()).collect();
    given
}

impl Given {
    fn called(mut self, alias: &str) -> Self {
        self.input.alias = Some(alias.to_owned());
        self
    }

    fn field(mut self, field: &str) -> Self {
        self.input.field = Some(field.to_owned());
        self
    }
}

fn file(template: &str, given: &[Given]) -> File {
    File {
        path: "f".into(),
        format: Format::Template,
        mode: 0o444,
        optional: false,
        inputs: given.iter().map(|it| it.input.clone()).collect(),
        template: Some(template.to_owned()),
        pkcs12: None,
    }
}

fn sources(given: &[Given]) -> Vec<Source<'_>> {
    given.iter().map(|it| Source { input: &it.input, field_names: &it.fields, text: &it.text }).collect()
}

fn rendered(template: &str, given: &[Given]) -> Result<String, String> {
    let content = crate::render(&file(template, given), &sources(given), None).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(content.to_vec()).unwrap())
}

fn checked(template: &str, given: &[Given]) -> Result<(), String> {
    crate::check(&file(template, given)).map_err(|error| error.to_string())
}

fn db() -> Given {
    structured("db", &[("username", "shop"), ("password", "p@ss/w:rd é"), ("my-field", "x")])
}

fn of_value(template: &str, value: &str) -> Result<String, String> {
    rendered(template, &[plain("v", value)])
}

#[test]
fn inputs_are_variables_by_their_names() {
    let given = [db(), plain("api-key", "sk_1").called("key"), db().field("password").called("pw")];
    for (template, content) in [
        ("{{ db.username }}:{{ db.password | urlencode }}", "shop:p%40ss%2Fw%3Ard%20%C3%A9"),
        ("{{ db[\"my-field\"] }}{{ key }}{{ pw }}", "xsk_1p@ss/w:rd é"),
        ("a: {{ key }}\n", "a: sk_1\n"),
        ("no tag at all\n\n", "no tag at all\n\n"),
        ("{% for name in db %}{{ name }} {% endfor %}", "username password my-field "),
        (
            "{% for name, value in db | items %}{{ name }}={{ value | sh }}\n{% endfor %}",
            "username='shop'\npassword='p@ss/w:rd é'\nmy-field='x'\n",
        ),
        ("{% if db.port is defined %}{{ db.port }}{% else %}5432{% endif %}", "5432"),
        ("{% if db.username == \"shop\" and key is startingwith(\"sk_\") %}yes{% endif %}", "yes"),
        ("{% set url = db.username ~ \"@\" ~ key %}{{ url | upper }}", "SHOP@SK_1"),
        ("{% filter indent(2, first=true) %}{{ key }}\nx\n{% endfilter %}", "  sk_1\n  x\n"),
        ("{# not written #}{% raw %}{{ key }}{% endraw %}", "{{ key }}"),
        ("{{ key[:2] }}{{ key[-1] }}{{ \"sk\" in key }}", "sk1true"),
        ("{{ key }}{{ \"x\" if key == \"other\" }}", "sk_1"),
        ("<b>{{ \"<&>\" }}", "<b><&>"),
        (
            "{% for part in key | split(\"_\") %}{{ loop.index }}{{ part }}{% if not loop.last %},{% endif %}{% endfor %}",
            "1sk,21",
        ),
    ] {
        assert_eq!(rendered(template, &given).as_deref(), Ok(content), "{template}");
    }
}

#[test]
fn a_line_with_nothing_but_a_tag_stays_unless_the_tag_takes_it() {
    let template = "a\n{% if v %}\nb\n{% endif %}\nc\n";
    assert_eq!(of_value(template, "x").unwrap(), "a\n\nb\n\nc\n");
    assert_eq!(of_value(&template.replace("{%", "{%-"), "x").unwrap(), "a\nb\nc\n");
}

#[test]
fn each_filter_does_what_the_readme_says() {
    let given = [
        plain("v", "a b/c\"é\n"),
        plain("list", "x,y,z"),
        plain("encoded", "aGVs\nbG8"),
        structured("db", &[("user", "u"), ("pass", "p\"w")]),
    ];
    for (expression, content) in [
        ("v | b64encode", "YSBiL2Miw6kK"),
        ("encoded | b64decode", "hello"),
        ("v | b64encode | b64decode == v", "true"),
        ("v | json", r#""a b/c\"é\n""#),
        ("v | tojson", r#""a b/c\"é\n""#),
        ("v | yaml", r#""a b/c\"é\n""#),
        ("db | json", r#"{"user": "u", "pass": "p\"w"}"#),
        ("list | split(\",\") | json", r#"["x", "y", "z"]"#),
        ("[1, 2.5, true, none] | json", "[1, 2.5, true, null]"),
        ("v | urlencode", "a%20b%2Fc%22%C3%A9%0A"),
        ("\"-._~\" | urlencode", "-._~"),
        ("\"<a href='x'>&\" | xml", "&lt;a href=&#39;x&#39;&gt;&amp;"),
        ("v | escape", "a b/c&quot;é&#10;"),
        ("\"it's\" | sh", r"'it'\''s'"),
        ("v | quote", "'a b/c\"é\n'"),
        ("\"\" | sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("list | upper", "X,Y,Z"),
        ("\"ÀB\" | lower", "àb"),
        ("\" a \n\" | trim", "a"),
        ("list | replace(\",\", \";\")", "x;y;z"),
        ("\"a\nb\n\nc\" | indent(2)", "a\n  b\n\n  c"),
        ("\"a\nb\" | indent(first=true, width=1)", " a\n b"),
        ("\"a\nb\" | indent", "a\n    b"),
        ("db.port | default(\"5432\")", "5432"),
        ("db.user | d(\"5432\")", "u"),
        ("\"\" | default(\"e\")", ""),
        ("\"\" | default(\"e\", true)", "e"),
        ("list | split(\",\") | join(\" \")", "x y z"),
        ("list | split(\"\") | join", "x,y,z"),
        ("list | split(\",\") | first", "x"),
        ("list | split(\",\") | last", "z"),
        ("list | length", "5"),
        ("list | split(\",\") | length", "3"),
        ("db | length", "2"),
        ("db | items | first | last", "u"),
        ("5432 | json", "5432"),
        ("1 == 1 | sh", "false"),
        ("list is endingwith(\"z\")", "true"),
        ("list is undefined", "false"),
    ] {
        assert_eq!(rendered(&format!("{{{{ {expression} }}}}"), &given).as_deref(), Ok(content), "{expression}");
    }
}

#[test]
fn what_admission_can_know_is_found_with_its_place_and_what_to_do() {
    let given = [db(), db().field("password").called("pw")];
    let filters = "use b64encode, b64decode, json, urlencode, xml, sh, sha256, upper, lower, trim, replace, indent, default, split, join, first, last, length, items";
    for (template, message) in [
        (
            "a\n{{ db.username",
            "line 2, column 7, at `username`: syntax error: unexpected end of input, expected end of variable block",
        ),
        ("{{ db. }}", "line 1, column 8, at `}}`: syntax error: unexpected end of variable block, expected identifier"),
        ("{% if db %}", "line 1, column 10, at `%}`: syntax error: unexpected end of input, expected end of block"),
        ("{% include \"x\" %}", "line 1, column 4, at `include`: syntax error: unknown statement include"),
        ("{% macro x() %}{% endmacro %}", "line 1, column 4, at `macro`: syntax error: unknown statement macro"),
        (
            "{% if false %}\n  {{ db | uper }}{% endif %}",
            &format!("line 2, column 11, at `uper`: there is no filter uper: {filters}"),
        ),
        ("{{ db | debug }}", &format!("line 1, column 9, at `debug`: there is no filter debug: {filters}")),
        (
            "{% filter nope %}{% endfilter %}",
            &format!("line 1, column 11, at `nope`: there is no filter nope: {filters}"),
        ),
        (
            "{{ db is string }}",
            "line 1, column 10, at `string`: there is no test string: use defined, undefined, startingwith, endingwith, or an operator such as == or in",
        ),
        (
            "é {{ dbb.username }}",
            "line 1, column 6, at `dbb`: dbb is none of its inputs, which are db, pw: name one of these, or add the Secret to secretRefs with `as: dbb`",
        ),
        ("{{ nope[1:2] }}", "line 1, column 4, at `nope`: nope is none of its inputs"),
        ("{{ db if false else nope }}", "line 1, column 21, at `nope`: nope is none of its inputs"),
        ("{{ nope | default(\"\") }}{{ other }}", "line 1, column 4, at `nope`: nope is none of its inputs"),
        (
            "{{ pw.password }}",
            "line 1, column 4, at `pw.password`: pw is one field, thus text, and has no field password: write pw, or leave field out of its entry in secretRefs",
        ),
        ("{{ pw[\"x\"] }}", "line 1, column 4, at `pw[\"x\"]`: pw is one field, thus text, and has no field x"),
        (
            "{{ range(3) }}",
            "line 1, column 4, at `range(3)`: there are no functions and no methods: use a filter, as in `name | upper`",
        ),
        ("{{ db.items() }}", "line 1, column 6, at `.items()`: there are no functions and no methods"),
        ("{% do db.items() %}", "line 1, column 4, at `do db.items()`: there are no functions and no methods"),
        (
            "{{ db.username | replace(\"a\") }}",
            "line 1, column 18, at `replace(\"a\")`: it is used as replace(\"from\", \"to\")",
        ),
        ("{{ db.username | upper(1) }}", "it is used as upper"),
        (
            "{{ db.username | indent(depth=1) }}",
            "it is used as indent(4), or indent(4, first=true) for the first line too",
        ),
        ("{{ db.username | default(*db) }}", "it is used as default(\"…\")"),
        ("{{ db.username is startingwith }}", "it is used as is startingwith(\"…\")"),
        (
            "{% autoescape true %}{% endautoescape %}",
            "there is no autoescape: escape each value with a filter such as xml or json",
        ),
        ("{% for x in db recursive %}{% endfor %}", "there is no recursive loop: lists here have no lists in them"),
        ("{% set db.x = 1 %}", "there is no assignment to a field: set a variable"),
        (&"x".repeat(8193), "cannot be written: template: it is longer than 8192 characters"),
    ] {
        let error = checked(template, &given).unwrap_err();
        assert!(error.starts_with("cannot be written: template"), "{error}");
        assert!(error.contains(message), "{template}\n{error}\n{message}");
        // What admission refuses, the sidecar refuses in the same words.
        assert_eq!(rendered(template, &given), Err(error));
    }
}

#[test]
fn what_only_the_values_can_tell_is_not_refused_beforehand() {
    let given = [db(), db().field("password").called("pw")];
    for template in [
        "{{ db }}",
        "{{ db.nope }}{{ db[\"nope\"] }}",
        "{{ db | b64decode }}",
        "{{ db | items | json }}",
        "{% set x = 1 %}{{ x }}{% for a, b in db | items %}{{ a ~ b ~ loop.index }}{% endfor %}",
        "{% set pw = db %}{{ pw.password }}",
        "{% with a = 1, b = db %}{{ b.x }}{% endwith %}{% set block %}{{ db }}{% endset %}{{ block }}",
        &"é".repeat(8192),
    ] {
        assert_eq!(checked(template, &given), Ok(()), "{template}");
    }
}

#[test]
fn a_file_is_never_shorter_than_it_is_said_to_be_at_least() {
    for (template, value, least) in [
        ("", "", 0),
        ("{{ db }}", "", 0),
        ("a={{ db }}\n", "", 3),
        ("{# none #}{% if db %}some{% endif %}!", "", 1),
        ("{% set a %}captured{% endset %}{{ db }}", "", 0),
        ("{% raw %}{{ }}{% endraw %}", "", 5),
        ("  {%- if db %}x{% endif -%}  .", "", 1),
    ] {
        let given = [plain("db", value)];
        assert_eq!(super::least(&file(template, &given)), least, "{template}");
        assert!(rendered(template, &given).unwrap().len() >= least, "{template}");
    }
}

#[test]
fn an_input_needs_a_name_that_a_template_can_use() {
    let names = |given: &[Given]| checked("x", given).unwrap_err();
    assert_eq!(
        names(&[plain("stripe-key", "x")]),
        "cannot be written: no template can call Secret shop/stripe-key stripe-key: give it another name with `as`, such as stripe_key"
    );
    assert!(names(&[plain("9lives", "x")]).ends_with("such as secret_9lives"));
    assert!(names(&[plain("loop", "x")]).ends_with("such as secret_loop"));
    assert!(names(&[plain("a", "x").called("None")]).ends_with("such as secret_None"));
    assert_eq!(
        names(&[db(), db().field("x").called("db")]),
        "cannot be written: Secret shop/db and field x of Secret shop/db both give the name db: give one of them another name with as"
    );
    let mut none = file("x", &[]);
    none.template = None;
    assert_eq!(crate::check(&none), Err(FileError::NoTemplate));
    assert_eq!(crate::render(&none, &[], None), Err(FileError::NoTemplate));
}

const CANARY: &str = "cAnArYcAnArY";

/// Every way to fail that only values bring about, each with a value that must not show.
#[test]
fn no_error_tells_a_value_or_a_part_of_one() {
    let long = CANARY.repeat(40);
    let given = [
        plain("text", &format!("{long}\0\u{1}")),
        structured("db", &[("a", &long), ("b", CANARY)]),
        plain("bytes", "/////w=="),
        plain("short", CANARY),
    ];
    for (expression, message) in [
        (
            "db",
            "a structured Secret stands here: name one of its fields, as in `db.password`, or write it with a filter, as in `db | json`",
        ),
        (
            "db.nope",
            "a variable or field in it is not there: look at the names of the Secret's fields, or give a value with `| default(\"…\")`",
        ),
        ("db[text]", "a variable or field in it is not there"),
        ("text.nope", "a variable or field in it is not there"),
        ("db.nope.nope", "a variable or field in it is not there"),
        ("db.nope | upper", "a variable or field in it is not there"),
        ("\"x\" if db.nope", "a variable or field in it is not there"),
        ("none", "there is no value to write here"),
        ("db | items | first", "there is no value to write here"),
        ("none[1:]", "a list stands here"),
        ("db | upper", "filter upper takes text: name a field of a structured Secret, or join a list first"),
        ("[db] | join", "filter join takes text"),
        ("text | join(\",\")", "filter join takes a list, as split makes one"),
        ("short | items | first", "filter items takes a structured Secret"),
        ("5 | length", "filter length takes text, a list or a structured Secret"),
        ("short ~ \"!\" | b64decode | b64decode", "the value is not base64"),
        ("text | b64decode", "the value is not base64"),
        ("bytes | b64decode", "the value in this base64 is not UTF-8 text, which a template cannot write"),
        ("text | xml", "the value holds a control character, which XML cannot"),
        ("text | sh", "the value holds a NUL character, which no word of a shell can"),
        ("(10.0 ** 400) | json", "JSON has no such value"),
        ("text + 1", "invalid operation: the values here do not fit what is done with them"),
        ("1 - text", "invalid operation: "),
        ("text * text", "invalid operation: "),
        ("short / 2", "invalid operation: "),
        ("short // db", "invalid operation: "),
        ("-short", "invalid operation: "),
        ("short ** short", "invalid operation: "),
        ("short % 2", "invalid operation: "),
        ("text[short:]", "invalid operation: "),
        ("short in 5", "invalid operation: "),
        ("short | indent(text)", "invalid operation: "),
        ("short | indent(2, first=short)", "invalid operation: "),
        ("short | default(\"x\", short)", "invalid operation: "),
        ("short * 100000000", "it takes too much work: write less, with fewer and shorter loops"),
        ("\"1\" | indent(1000000000000, first=true)", "it takes too much work"),
    ] {
        for template in
            [format!("a\n  {{{{ {expression} }}}}"), format!("a\n  {{% set x = {expression} %}}{{{{ x }}}}")]
        {
            assert_eq!(checked(&template, &given), Ok(()), "{template}");
            let error = rendered(&template, &given).unwrap_err();
            assert!(error.contains(message), "{template}\n{error}");
            assert!(error.starts_with("cannot be written: template line 2"), "{template}\n{error}");
            assert!(!error.to_lowercase().contains("canary"), "{error}");
        }
    }
    for (template, message) in [
        ("{% for a, b in text | split(\"Y\") %}{% endfor %}", "cannot unpack: the values here do not fit"),
        ("{% for a in 5 %}{% endfor %}", "invalid operation: "),
        ("{% for a in db.nope %}{% endfor %}", "a variable or field in it is not there"),
        ("{% if db.nope %}{% endif %}", "a variable or field in it is not there"),
        ("{% set x = db.nope ~ short %}", "a variable or field in it is not there"),
        ("{{ short[5000] }}", "a variable or field in it is not there"),
    ] {
        let error = rendered(template, &given).unwrap_err();
        assert!(error.contains(message), "{template}\n{error}");
        assert!(!error.to_lowercase().contains("canary"), "{error}");
    }
}

#[test]
fn debug_output_of_what_the_engine_holds_shows_no_value() {
    let given = [plain("short", CANARY), structured("db", &[("a", CANARY)])];
    let context = variables::context(&sources(&given)).unwrap();
    // Looked up once, the copy is there.
    assert_eq!(context.get_attr("short").unwrap().as_str(), Some(CANARY));
    let fields = context.get_attr("db").unwrap();
    assert_eq!(fields.get_attr("a").unwrap().as_str(), Some(CANARY));
    for shown in [
        format!("{:?}", context.downcast_object_ref::<variables::Variables>().unwrap()),
        format!("{sources:?}", sources = sources(&given)),
    ] {
        assert!(!shown.contains(CANARY), "{shown}");
    }
}

#[test]
fn work_and_content_are_limited() {
    let value = "x".repeat(12 * 1024);
    let many: Vec<_> = (0..32).map(|index| plain(&format!("v{index}"), &value)).collect();
    let all = |filter: &str| (0..32).map(|index| format!("{{{{ v{index}{filter} }}}}")).collect::<Vec<_>>().concat();
    // The most that inputs can be, in a form that is longer, is written.
    assert_eq!(rendered(&all(" | b64encode"), &many).unwrap().len(), 32 * 16 * 1024);
    assert_eq!(rendered(&all(" | b64encode | json"), &many).unwrap().len(), 32 * (16 * 1024 + 2));

    let twice = format!("{0}{0}{0}", all(""));
    assert_eq!(rendered(&twice, &many), Err("cannot be written: template: it writes more than 1024 KiB".into()));
    let loops = format!("{}x{}", "{% for a in v0 | split(\"\") %}".repeat(3), "{% endfor %}".repeat(3));
    assert_eq!(rendered(&loops, &many).as_deref(), Ok("x"));
    let letters = "{% for a in letters | split(\",\") %}".repeat(5);
    let nested = format!("{letters}x{}", "{% endfor %}".repeat(5));
    let error = rendered(&nested, &[plain("letters", &"a,".repeat(50))]).unwrap_err();
    assert!(error.contains("it takes too much work: write less, with fewer and shorter loops"), "{error}");
}

/// The engine follows expressions by recursion, without a limit: whoever may apply a Machine could end the operator.
#[test]
fn what_is_too_deep_is_refused_before_it_is_parsed() {
    // The stack of a thread that serves admission is 2 MiB, and others stand on it too.
    let small_stack = |template: String| {
        let given = [plain("a", "x")];
        let run = move || (checked(&template, &given), rendered(&template, &given));
        std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap()
    };
    let longest = |part: &str, tokens: usize, rest: usize| part.repeat((inspect::MAX_TAG_TOKENS - rest) / tokens);
    for (part, tokens, around) in [
        (".b", 2, ("a", "")),
        ("~a", 2, ("a", "")),
        ("+1", 2, ("1", "")),
        ("|upper", 2, ("a", "")),
        ("[0]", 3, ("a", "")),
        ("[:]", 3, ("a", "")),
        ("()", 2, ("a", "")),
        ("-", 1, ("", "1")),
        ("not ", 1, ("", "a")),
        ("a if a else ", 4, ("", "a")),
        (" if a", 2, ("a", "")),
        ("(", 1, ("", "a")),
        ("[", 1, ("", "a")),
        (" is defined", 2, ("a", "")),
        ("**1", 2, ("1", "")),
        ("<a", 2, ("a", "")),
        (" and a", 2, ("a", "")),
        ("{1:", 3, ("", "a")),
    ] {
        let (before, after) = around;
        let tag = |middle: String| format!("{{{{ {before}{middle}{after} }}}}");
        let too_long = tag(part.repeat(8000 / part.len()));
        let (checked, rendered) = small_stack(too_long);
        assert_eq!(checked, rendered.map(drop));
        let error = checked.unwrap_err();
        let message = if matches!(part, "(" | "[" | "{1:") {
            "at `{}`: brackets are at most 24 deep: take the tag apart with {% set %}"
        } else {
            "at `{{`: one tag has at most 200 words and signs: take it apart with {% set %}"
        };
        assert!(error.contains(&message.replace("{}", &part[..1])), "{error}");
        // The longest that is let through ends well or badly, but it ends.
        let most = if message.contains("brackets") { part.repeat(24) } else { longest(part, tokens, 6) };
        let (checked, _) = small_stack(tag(most));
        assert!(checked.is_ok() || !checked.unwrap_err().contains("at most"), "{part}");
    }
    let elifs = |count: usize| format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(count));
    assert!(small_stack(elifs(65)).0.unwrap_err().contains("a template has at most 64 elif"));
    assert_eq!(small_stack(elifs(64)), (Ok(()), Ok(String::new())));
    for (block, end) in [
        ("{% if a %}", "{% endif %}"),
        ("{% for b in [1] %}", "{% endfor %}"),
        ("{% with b = 1 %}", "{% endwith %}"),
        ("{% filter upper %}", "{% endfilter %}"),
        ("{% set b %}", "{% endset %}"),
    ] {
        let nested = |depth: usize, inside: &str| format!("{}{inside}{}", block.repeat(depth), end.repeat(depth));
        let error = small_stack(nested(25, "")).0.unwrap_err();
        assert!(error.contains("blocks are at most 24 deep"), "{error}");
        assert_eq!(small_stack(nested(200, "{{ endif }}")).0, Err(error));
        // The most of everything.
        let brackets = format!("{{{{ {}a{}{} }}}}", "(".repeat(24), ")".repeat(24), longest("~a", 2, 60));
        let (checked, rendered) = small_stack(nested(23, &format!("{}{brackets}", elifs(40))));
        assert_eq!(checked, Ok(()));
        assert!(rendered.is_ok(), "{rendered:?}");
        // One after the other there may be more.
        assert_eq!(small_stack(nested(1, "").repeat(100)).0, Ok(()));
        assert_eq!(small_stack("{% set b = a %}".repeat(100)).0, Ok(()));
    }
    // Lists in lists, as the engine would compare, search and write them.
    let lists = format!("{{% set b = [1] %}}{}", "{% set b=[b] %}".repeat(500));
    assert!(small_stack(lists).0.unwrap_err().contains("column 12, at `[1]`: a list or map can only follow `in`"));
}

/// Thirty lines would make a list of more items than there is time for; fuel is not asked when they are compared.
#[test]
fn no_variable_holds_a_list_that_the_template_made() {
    let given = [db(), plain("v", "a,b")];
    let refused =
        "a list or map can only follow `in`, or stand before one of the filters join, first, last, length and json";
    for template in [
        "{% set a = [v, v] %}",
        "{% set a = (v, v) %}",
        "{% set a = {\"x\": v} %}",
        "{% set a = v | split(\",\") %}",
        "{% set a = db | items %}",
        "{% set a = [v][:1] %}",
        "{% set a = [v] | default(1) %}",
        "{% set a = [v] if v %}",
        "{% set a = [v] or 1 %}",
        "{% with a = [v] %}{% endwith %}",
        "{% for a in [[v, v]] %}{% endfor %}",
        "{% for a in [{\"x\": v}] %}{% endfor %}",
        "{{ [v] + [v] }}",
        "{{ [v] * 1000 }}",
        "{{ [v] ~ \"\" }}",
        "{{ [v] == [v] }}",
        "{{ [v] < [v] < [v] }}",
        "{{ [v] }}",
        "{{ v | split(\",\") }}",
        "{{ v | replace([v], v) }}",
        "{{ [v] is defined }}",
        "{% filter split(\",\") %}{% endfilter %}",
        "{% if [v] %}{% endif %}",
    ] {
        let error = checked(template, &given).unwrap_err();
        assert!(error.ends_with(refused), "{template}: {error}");
    }
    for (template, content) in [
        ("{{ v in [v, 1] }}{{ v in (v | split(\",\"))[:1] }}", "truefalse"),
        ("{% for a in v | split(\",\") %}{{ a }}{% endfor %}", "ab"),
        ("{{ (v | split(\",\"))[1] }}{{ [v, 2] | join(\"-\") }}", "ba,b-2"),
        (
            "{{ db | items | json }}{{ {\"x\": v} | json }}",
            r#"[["username", "shop"], ["password", "p@ss/w:rd é"], ["my-field", "x"]]{"x": "a,b"}"#,
        ),
        (
            "{% for pair in db | items %}{{ pair | first }}={{ pair | last }};{% endfor %}",
            "username=shop;password=p@ss/w:rd é;my-field=x;",
        ),
    ] {
        assert_eq!(rendered(template, &given).as_deref(), Ok(content), "{template}");
    }
    // The one thing like a list that a variable can hold does not grow.
    for growth in ["{% set p = p + p %}", "{% set p = p * 1000 %}", "{% set p = 1000 * p %}"] {
        let error = rendered(&format!("{{% set p = db | items | first %}}{growth}"), &given).unwrap_err();
        assert!(error.contains("invalid operation: the values here do not fit"), "{error}");
    }
}

/// Parts of text are the one thing that costs more than the fuel it is charged.
#[test]
fn a_part_is_taken_of_what_is_short_or_paid_for() {
    let given = [db(), plain("v", "abc")];
    let refused = "a part can be taken of inputs, their fields, and what filters return";
    for template in [
        "{% set a = v * 900 %}{{ a[-1] }}",
        "{% set a = v * 900 %}{{ a[1:] }}",
        "{% set a %}{{ v }}{% endset %}{{ a[:][1] }}",
        "{% with a = v %}{{ a[v] }}{% endwith %}",
        "{% for a in [v] %}{{ a[0] }}{% endfor %}",
        "{% set a = v %}{{ [a][0][1] }}",
        "{% set a = v %}{{ (a if a)[1] }}",
        "{% set a = v %}{{ (a or a)[1:] }}",
        "{% set a = v %}{{ ([a] | first)[1:] }}{{ (a ~ a)[1] }}",
    ] {
        let error = checked(template, &given).unwrap_err();
        assert!(error.contains(refused), "{template}: {error}");
    }
    let template = "{{ v[0] }}{{ v[1:][0] }}{{ db.username[:2] }}{{ db[\"my-field\"][0] }}{{ (v | upper)[::-1] }}{{ \"xyz\"[2] }}\
                    {% for a in [v] %}{{ (a | trim)[2] }}{% endfor %}{{ (v | split(\"b\"))[1] }}";
    assert_eq!(rendered(template, &given).unwrap(), "abshxCBAzcc");
    // A filter is paid for by the length of its input, each time.
    let v = plain("v", &"x".repeat(5000));
    let costly = "{% set a = v * 120 %}{% for i in v %}{% if (a | trim)[-1] %}{% endif %}{% endfor %}";
    assert!(rendered(costly, &[v]).unwrap_err().contains("it takes too much work"));
}

#[test]
fn shell_words_and_xml_are_read_back() {
    let value = "it's \"<&>\" $(id) `x` \\ \n\t é !";
    let word = of_value("{{ v | sh }}", value).unwrap();
    let output = std::process::Command::new("sh").args(["-c", &format!("printf %s {word}")]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), value);

    let document = of_value("<a b=\"{{ v | xml }}\" c='{{ v | xml }}'>{{ v | xml }}</a>", value).unwrap();
    let document = roxmltree::Document::parse(&document).unwrap();
    let root = document.root_element();
    assert_eq!((root.attribute("b"), root.attribute("c"), root.text()), (Some(value), Some(value), Some(value)));
}

#[test]
fn the_example_in_the_readme_writes_what_it_says() {
    let readme = include_str!("../../../../crds/README.md");
    let (_, section) = readme.split_once("## Templates\n").expect("the section Templates");
    let (section, _) = section.split_once("\n## ").unwrap();
    let block = |kind: &str| {
        let (_, rest) = section.split_once(&format!("```{kind}\n")).unwrap();
        rest.split_once("```").unwrap().0
    };
    let yaml: Vec<&str> = block("yaml").lines().skip_while(|line| !line.contains("template: |")).skip(1).collect();
    let indent = yaml[0].len() - yaml[0].trim_start().len();
    let lines: Vec<_> = yaml.iter().map(|line| line.get(indent..).unwrap_or_default()).collect();
    let template = format!("{}\n", lines.join("\n"));
    let given = [
        structured("db", &[("username", "shop"), ("password", "p@ss/w:rd")]),
        plain("stripe-key", "sk_live_\"1\"").called("stripe"),
    ];
    assert_eq!(rendered(&template, &given).unwrap(), block("text"));
    // Every filter and test has its line, and no other is told of.
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.len(), filters::FILTERS.len());
    for (row, filter) in rows.iter().zip(&filters::FILTERS) {
        let told: Vec<&str> = row
            .split('|')
            .nth(1)
            .unwrap()
            .split('`')
            .skip(1)
            .step_by(2)
            .map(|name| name.split('(').next().unwrap())
            .collect();
        assert_eq!(told, filter.names);
    }
}

/// A template made of parts that can be right, so that many are.
fn template() -> impl Strategy<Value = String> {
    let expression = prop::sample::select(vec![
        "a",
        "b.x",
        "b[\"y-z\"]",
        "a ~ b.x",
        "a | upper",
        "b | json",
        "a | b64encode | b64decode",
        "a[1:3]",
        "a | default(\"d\")",
        "b.nope | default(\"d\")",
        "b.nope",
        "a | split(\"\") | join(\"-\")",
        "a | indent(2)",
        "b",
        "a + 1",
        "a * 3",
        "a | nope",
        "c",
        "a | replace(\"a\", a)",
        "a | sha256",
        "a | sh",
        "a | xml",
        "b | items",
        "a in b",
        "not a",
        "a == \"x\"",
        "-a",
        "a | length",
    ]);
    let part = prop_oneof![
        3 => expression.clone().prop_map(|it| format!("{{{{ {it} }}}}")),
        1 => expression.clone().prop_map(|it| format!("{{% if {it} %}}y{{% else %}}n{{% endif %}}")),
        1 => expression.clone().prop_map(|it| format!("{{% for c in {it} %}}{{{{ c }}}}{{% endfor %}}")),
        1 => expression.prop_map(|it| format!("{{% set c = {it} %}}")),
        1 => "[ -~\n]{0,8}",
        1 => prop::sample::select(vec!["{{", "}}", "{%", "%}", "{#", "#}", "{% endif %}", "{%- raw %}", "é"]).prop_map(str::to_owned),
    ];
    prop_oneof![4 => prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat()), 1 => any::<String>()]
}

proptest! {
    #[test]
    fn any_template_with_any_values_ends_and_tells_nothing(template in template(), a in ".{0,30}", x in any::<String>(), y in ".{0,5}") {
        // Letters that no template here has, so that finding them in an error means that a value is told.
        let secret = |text: &str| format!("{text}\u{10348}{text}");
        let (a, x) = (secret(&a), secret(&x));
        let given = [plain("a", &a), structured("b", &[("x", &x), ("y-z", &y)])];
        let first = rendered(&template, &given);
        // A function of template and values.
        prop_assert_eq!(&first, &rendered(&template, &given));
        match &first {
            Ok(content) => {
                prop_assert!(content.len() <= output::MAX_CONTENT);
                prop_assert_eq!(checked(&template, &given), Ok(()));
            }
            Err(error) => prop_assert!(template.contains('\u{10348}') || !error.contains('\u{10348}'), "{}", error),
        }
    }

    #[test]
    fn what_a_filter_writes_its_reader_reads_back(value in any::<String>()) {
        prop_assert_eq!(serde_json::from_str::<String>(&of_value("{{ v | json }}", &value).unwrap()).unwrap(), value.clone());
        prop_assert_eq!(of_value("{{ v | b64encode | b64decode }}", &value).unwrap(), value.clone());
        let encoded = of_value("{{ v | urlencode }}", &value).unwrap();
        prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        prop_assert_eq!(percent_encoding::percent_decode_str(&encoded).decode_utf8().unwrap(), value.clone());
        if let Ok(escaped) = of_value("<a b=\"{{ v | xml }}\"/>", &value) {
            let document = roxmltree::Document::parse(&escaped).unwrap();
            prop_assert_eq!(document.root_element().attribute("b"), Some(&*value));
        }
    }
}
