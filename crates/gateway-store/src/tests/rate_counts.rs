//! Sums of limits reach other instances, and not oneself.

use super::*;

#[tokio::test]
async fn sums_reach_others_and_not_oneself() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let sums =
            |used: i64| vec![("requests|a".to_owned(), used), ("address|address 192.0.2.1".to_owned(), 7)];
        first.rate_counts().put(&sums(3)).await.unwrap();
        first.rate_counts().put(&sums(5)).await.unwrap();
        first.rate_counts().put(&[]).await.unwrap();
        assert!(first.rate_counts().of_others().await.unwrap().is_empty());
        let mut read = second.rate_counts().of_others().await.unwrap();
        read.sort_by(|one, other| one.key.cmp(&other.key));
        let told: Vec<(&str, i64)> = read.iter().map(|count| (count.key.as_str(), count.used)).collect();
        assert_eq!(told, [("address|address 192.0.2.1", 7), ("requests|a", 5)]);
        first.rate_counts().tidy().await.unwrap();
        assert_eq!(second.rate_counts().of_others().await.unwrap().len(), 2, "what is new stays");

        let many: Vec<(String, i64)> = (0..1200).map(|n| (format!("requests|{n}"), n)).collect();
        second.rate_counts().put(&many).await.unwrap();
        assert_eq!(first.rate_counts().of_others().await.unwrap().len(), 1200);
        assert_eq!(first.rate_counts().are_shared(), !place.is_sqlite());
        first.close().await;
        second.close().await;
    }
}
