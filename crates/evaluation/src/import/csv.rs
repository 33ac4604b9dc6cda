//! Tables of cases with the columns of promptfoo.

use super::promptfoo::{Builder, Files};
use super::table::rows;
use super::{Findings, ImportError, ImportOptions, Imported, within_limit};
use crate::model::suite::Suite;

/// Reads a table of cases.
///
/// # Errors
/// A row has more or fewer fields than the first, a `__config` column is invalid, or a limit is exceeded.
pub fn csv(text: &str, file: &str, options: ImportOptions<'_>) -> Result<Imported, ImportError> {
    within_limit(text, file)?;
    let nothing = |_: &str| Err(std::io::Error::other("a table names no other files"));
    let files = Files::new(&nothing);
    let mut builder = Builder::new(&files, Findings::default(), options);
    for row in rows(text, file)? {
        builder.add(&row.place, &row.test)?;
    }
    Ok(builder.finish(Suite { repeats: 1, ..Suite::default() }, None))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::suite::CASES_MAX;

    #[test]
    fn columns_become_names_metadata_and_thresholds() {
        let text = "\u{feff}topic,__expected1,__expected2,__description,__metric,__threshold,__metadata:team,\
                    __metadata:tags[],__config:__expected2:threshold\nbirds,\"contains:a, b\",similar:x,about \
                    birds,accuracy,0.5,zoo,\"a, b\\,c\",0.6\nfish,,,,,,,,0.1\n";
        let embeddings = "local:embed".parse().expect("a model");
        let options = ImportOptions { embeddings: Some(&embeddings), ..ImportOptions::default() };
        let imported = csv(text, "t.csv", options).expect("a table");
        let case = imported.suite.cases.first().expect("a case");
        let json = serde_json::to_value(case).expect("JSON");
        assert_eq!(
            json,
            json!({"name": "about birds", "variables": {"topic": "birds"}, "threshold": 0.5, "scorers": [
                {"type": "contains", "value": "a, b", "metric": "accuracy"},
                {"type": "similar", "value": "x", "threshold": 0.6, "metric": "accuracy", "model": "local:embed"}],
                "metadata": {"team": "zoo", "tags": ["a", "b,c"], "threshold": 0.6}})
        );
        let second = imported.suite.cases.get(1).expect("a case");
        assert_eq!(second.name, "Row #2");
        assert!(imported.unsupported.iter().any(|finding| finding.what.contains("1 cases have no scorer")));
    }

    #[test]
    fn broken_table_is_refused_with_its_line() {
        for (text, part) in [
            ("a,b\n1\n", "t.csv: line 2 has 1 fields and the first line 2"),
            ("a,__config:x:threshold\n1,2\n", "t.csv line 2: invalid column `__config:x:threshold`"),
            ("a,__config:__expected:threshold\n1,\n", "is not a number"),
        ] {
            let error = csv(text, "t.csv", ImportOptions::default()).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let many = format!("a\n{}", "x\n".repeat(CASES_MAX + 1));
        assert!(csv(&many, "t.csv", ImportOptions::default()).expect_err("many").to_string().contains("10000 cases"));
    }
}
