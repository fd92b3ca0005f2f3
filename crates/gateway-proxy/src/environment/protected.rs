//! Variables that nobody changes through the gateway: a write that would is refused, one that only leaves them out
//! keeps them.

use gateway_secrets::{EnvText, NamePatterns};
use gateway_types::{Layer, Problem, ProblemKind, Remedy, RemedyKind};

/// What a posted environment is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Post {
    /// What was read, with changes: what is not in it was taken out.
    Change,
    /// An older environment as it was, for a roll-back.
    Copy,
    /// A whole environment of which nobody knows what it was made of.
    Whole,
}

/// `env` with the protected variables as they are at `present`.
///
/// # Errors
/// `Refused`, with the names, when the post says another value, or that one goes.
pub(super) fn kept(
    protected: &NamePatterns,
    present: &EnvText,
    env: EnvText,
    post: Post,
) -> Result<EnvText, Problem> {
    let of = |env: &EnvText| {
        let of = env.entries().iter().filter(|(name, _)| protected.matches(name));
        of.map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>()
    };
    let left_out = |name: &str| env.get(name).is_none();
    let kept: Vec<(String, String)> = match post {
        Post::Change => Vec::new(),
        Post::Whole => of(present).into_iter().filter(|(name, _)| left_out(name)).collect(),
        Post::Copy => of(present),
    };
    let gone: Vec<String> = match post {
        Post::Copy => of(&env).into_iter().map(|(name, _)| name).collect(),
        Post::Change | Post::Whole => Vec::new(),
    };
    let env = env.changed(&EnvText::of(kept), gone.iter().map(String::as_str));
    let changed: Vec<String> =
        env.difference(present).into_iter().filter(|name| protected.matches(name)).collect();
    if changed.is_empty() { Ok(env) } else { Err(refused(&changed)) }
}

/// The refusal of a change of protected variables.
fn refused(names: &[String]) -> Problem {
    let names = gateway_audit::bounded(&names.join(", "));
    let detail = format!(
        "{names} cannot be set, changed or removed through the gateway: the setting env_protected names it; change it at the rack, or ask an admin to take it off the list"
    );
    let mut problem = Problem::new(ProblemKind::Refused, Layer::Authorization, detail);
    problem.remedies = vec![Remedy::new(RemedyKind::Setting)];
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(present: &str, posted: &str, post: Post, expected: Result<&str, &str>) {
        let env = |text: &str| EnvText::parse(&text.replace(' ', "\n")).unwrap();
        let protected = NamePatterns::new(["P".to_owned(), "DB_*".to_owned()]).unwrap();
        let kept = kept(&protected, &env(present), env(posted), post);
        match (kept, expected) {
            (Ok(kept), Ok(expected)) => assert_eq!(kept, env(expected), "{present} | {posted}"),
            (Err(problem), Err(names)) => {
                assert!(problem.detail.starts_with(&format!("{names} cannot be set")), "{}", problem.detail);
                assert!(!problem.detail.contains('='), "no value is told: {}", problem.detail);
            }
            (kept, expected) => panic!("{present} | {posted}: {kept:?} is not {expected:?}"),
        }
    }

    #[test]
    fn what_was_read_is_changed_but_for_the_protected() {
        check("P=1 A=1", "P=1 A=2", Post::Change, Ok("P=1 A=2"));
        check("P=1 A=1", "P=2 A=2", Post::Change, Err("P"));
        check("P=1 A=1", "A=1", Post::Change, Err("P"));
        check("A=1", "A=1 DB_URL=x p=1", Post::Change, Err("DB_URL, p"));
    }

    #[test]
    fn a_roll_back_keeps_the_present_ones() {
        check("P=2 A=2", "P=1 A=1", Post::Copy, Ok("P=2 A=1"));
        check("P=2 A=2", "A=1", Post::Copy, Ok("P=2 A=1"));
        check("A=2", "P=1 A=1", Post::Copy, Ok("A=1"));
    }

    #[test]
    fn what_is_left_out_of_a_whole_one_stays() {
        check("P=1 A=1", "A=2", Post::Whole, Ok("A=2 P=1"));
        check("P=1 A=1", "", Post::Whole, Ok("P=1"));
        check("P=1", "P=1 B=1", Post::Whole, Ok("P=1 B=1"));
        check("P=1", "P=2", Post::Whole, Err("P"));
        check("", "P=2", Post::Whole, Err("P"));
    }
}
