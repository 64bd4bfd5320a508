//! Columns of text for people.

/// Rows under a head, each column as wide as its widest word. Control characters do not reach the terminal.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let all = || {
        std::iter::once(head.iter().map(|word| (*word).to_owned()).collect())
            .chain(rows.iter().map(|row| clean(row)))
    };
    let widths: Vec<usize> = (0..head.len())
        .map(|at| all().filter_map(|row| row.get(at).map(|word| word.chars().count())).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in all() {
        let words: Vec<_> = row.iter().zip(&widths).map(|(word, width)| format!("{word:width$}")).collect();
        text += words.join("  ").trim_end();
        text.push('\n');
    }
    text
}

fn clean(row: &[String]) -> Vec<String> {
    row.iter().map(|word| word.chars().map(|c| if c.is_control() { '?' } else { c }).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let rows = vec![vec!["web-1".into(), "7".into()], vec!["ä\u{1b}".into(), "12".into()]];
        assert_eq!(table(&["NODE", "N"], &rows), "NODE   N\nweb-1  7\nä?     12\n");
    }
}
