from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.job_billing import JobBilling
    from ..models.job_metadata import JobMetadata
    from ..models.job_status_entry import JobStatusEntry


T = TypeVar("T", bound="JobRecord")


@_attrs_define
class JobRecord:
    """A job as the server keeps it.

    Attributes:
        job_id (str | Unset): The job's id.
        job_type (str | Unset): `custom` for a reframe job.
        status (str | Unset): pending, queued, warming-up, in-progress, finalizing, success, failure or canceled. The
            last three are final; an unknown one is not.
        progress (float | Unset): Share done, 0 to 1.
        created_at (str | Unset): ISO 8601.
        updated_at (str | Unset): ISO 8601.
        author_id (str | Unset): Who submitted it.
        owner_id (str | Unset): The project that owns it.
        status_history (list[JobStatusEntry] | Unset):
        metadata (JobMetadata | Unset): What went in and what came out.
        billing (JobBilling | Unset): What the job cost.
    """

    job_id: str | Unset = UNSET
    job_type: str | Unset = UNSET
    status: str | Unset = UNSET
    progress: float | Unset = UNSET
    created_at: str | Unset = UNSET
    updated_at: str | Unset = UNSET
    author_id: str | Unset = UNSET
    owner_id: str | Unset = UNSET
    status_history: list[JobStatusEntry] | Unset = UNSET
    metadata: JobMetadata | Unset = UNSET
    billing: JobBilling | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        job_id = self.job_id

        job_type = self.job_type

        status = self.status

        progress = self.progress

        created_at = self.created_at

        updated_at = self.updated_at

        author_id = self.author_id

        owner_id = self.owner_id

        status_history: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.status_history, Unset):
            status_history = []
            for status_history_item_data in self.status_history:
                status_history_item = status_history_item_data.to_dict()
                status_history.append(status_history_item)

        metadata: dict[str, Any] | Unset = UNSET
        if not isinstance(self.metadata, Unset):
            metadata = self.metadata.to_dict()

        billing: dict[str, Any] | Unset = UNSET
        if not isinstance(self.billing, Unset):
            billing = self.billing.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if job_id is not UNSET:
            field_dict["jobId"] = job_id
        if job_type is not UNSET:
            field_dict["jobType"] = job_type
        if status is not UNSET:
            field_dict["status"] = status
        if progress is not UNSET:
            field_dict["progress"] = progress
        if created_at is not UNSET:
            field_dict["createdAt"] = created_at
        if updated_at is not UNSET:
            field_dict["updatedAt"] = updated_at
        if author_id is not UNSET:
            field_dict["authorId"] = author_id
        if owner_id is not UNSET:
            field_dict["ownerId"] = owner_id
        if status_history is not UNSET:
            field_dict["statusHistory"] = status_history
        if metadata is not UNSET:
            field_dict["metadata"] = metadata
        if billing is not UNSET:
            field_dict["billing"] = billing

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.job_billing import JobBilling
        from ..models.job_metadata import JobMetadata
        from ..models.job_status_entry import JobStatusEntry

        d = dict(src_dict)
        job_id = d.pop("jobId", UNSET)

        job_type = d.pop("jobType", UNSET)

        status = d.pop("status", UNSET)

        progress = d.pop("progress", UNSET)

        created_at = d.pop("createdAt", UNSET)

        updated_at = d.pop("updatedAt", UNSET)

        author_id = d.pop("authorId", UNSET)

        owner_id = d.pop("ownerId", UNSET)

        _status_history = d.pop("statusHistory", UNSET)
        status_history: list[JobStatusEntry] | Unset = UNSET
        if _status_history is not UNSET:
            status_history = []
            for status_history_item_data in _status_history:
                status_history_item = JobStatusEntry.from_dict(status_history_item_data)

                status_history.append(status_history_item)

        _metadata = d.pop("metadata", UNSET)
        metadata: JobMetadata | Unset
        if isinstance(_metadata, Unset):
            metadata = UNSET
        else:
            metadata = JobMetadata.from_dict(_metadata)

        _billing = d.pop("billing", UNSET)
        billing: JobBilling | Unset
        if isinstance(_billing, Unset):
            billing = UNSET
        else:
            billing = JobBilling.from_dict(_billing)

        job_record = cls(
            job_id=job_id,
            job_type=job_type,
            status=status,
            progress=progress,
            created_at=created_at,
            updated_at=updated_at,
            author_id=author_id,
            owner_id=owner_id,
            status_history=status_history,
            metadata=metadata,
            billing=billing,
        )

        job_record.additional_properties = d
        return job_record

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
